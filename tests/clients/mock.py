"""A third-party mock of the providers, for the length of a block: nothing may depend on the habits of our own fake."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.clients.environments import NODE_MODULES, QUIET, node

PROGRAM = NODE_MODULES / "@copilotkit" / "aimock" / "dist" / "cli.js"
ANSWERS = Path(__file__).resolve().parent / "mock_answers.json"
CHUNK_CHARACTERS = "5"  # as our own fake cuts them: a word and its blank
START_LINES_MAX = 50
STOP_SECONDS = 5


@dataclass(frozen=True)
class Mock:
    """A running mock, with the faces of all three providers on one port."""

    url: str

    def journal(self) -> list[dict[str, Any]]:
        """The requests as the mock received them, oldest first; keys are blackened."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/__aimock/journal").json()
        return found

    def environment(self) -> dict[str, str]:
        """The settings that lead a server's calls to the mock."""
        return {
            "SHREDDER_OPENAI_BASE_URL": f"{self.url}/v1",
            "SHREDDER_ANTHROPIC_BASE_URL": self.url,
            "SHREDDER_GEMINI_BASE_URL": self.url,
        }


@contextmanager
def third_party_mock() -> Iterator[Mock]:
    """Start it on a free port and wait until it says that it listens."""
    command = [node(), str(PROGRAM), "-p", "0", "-f", str(ANSWERS), "-c", CHUNK_CHARACTERS, "--strict"]
    process = subprocess.Popen(command, env=QUIET, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield Mock(_url_of(process))
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said = []
    for _ in range(START_LINES_MAX):
        said.append(process.stdout.readline())
        if "listening on " in said[-1]:
            return said[-1].split("listening on ")[1].strip()
        if not said[-1]:
            break
    raise AssertionError(f"the mock did not start:\n{''.join(said)}")
