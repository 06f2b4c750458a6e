"""Starts and stops the provider fake as a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 5
ANSWER_SECONDS_MAX = 30  # of a busy machine


@dataclass(frozen=True)
class ProviderFake:
    """A running fake. openai_base_url and anthropic_base_url are written as the SDKs want them."""

    url: str
    bill_path: Path
    process: subprocess.Popen[bytes]

    @property
    def openai_base_url(self) -> str:
        """Ends in /v1."""
        return f"{self.url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """Has no path."""
        return self.url

    def bill(self) -> list[dict[str, Any]]:
        """The billed calls so far, in order; each has id, request_id, model, usage and cost_usd (a string)."""
        return [orjson.loads(line) for line in self.bill_path.read_bytes().splitlines()]

    def billed_usd(self) -> Decimal:
        """The sum of the bill."""
        return sum((Decimal(line["cost_usd"]) for line in self.bill()), Decimal(0))

    def billed_pico(self) -> int:
        """The sum of the bill in pico-dollars."""
        return int(self.billed_usd() * 10**12)

    def stats(self) -> dict[str, Any]:
        """The counters, see tests/fakes/provider.py."""
        found: dict[str, Any] = httpx.get(f"{self.url}/_stats", timeout=ANSWER_SECONDS_MAX).json()
        return found

    def log(self) -> list[dict[str, Any]]:
        """The last thousand requests as the fake received them."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/_log", timeout=ANSWER_SECONDS_MAX).json()
        return found

    def script(self, **words: Any) -> None:
        """Script words that hold for every call from now on."""
        httpx.post(f"{self.url}/_script", content=orjson.dumps(words), timeout=ANSWER_SECONDS_MAX).raise_for_status()

    def reset(self) -> None:
        """Forget the script, the counters, the log and the bill."""
        httpx.post(f"{self.url}/_reset", timeout=ANSWER_SECONDS_MAX).raise_for_status()

    def stop(self) -> None:
        """End the process, by its id."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def start_provider_fake(
    directory: Path, *, key: str | None = None, module: str = "tests.fakes.provider"
) -> ProviderFake:
    """Start a fake on a free port and wait until it answers. directory: for its bill file. module: another's name."""
    bill_path = directory / "provider-bill.jsonl"
    command = [sys.executable, "-m", module, "--port", "0", "--bill", str(bill_path)]
    command += ["--key", key] if key else []
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    if not line.startswith("ready "):
        process.kill()
        raise RuntimeError("the provider fake did not start; its error is on standard error")
    return ProviderFake(line.split()[1], bill_path, process)


@contextmanager
def provider_fake(
    directory: Path, *, key: str | None = None, module: str = "tests.fakes.provider"
) -> Iterator[ProviderFake]:
    """A fake for the length of a block."""
    fake = start_provider_fake(directory, key=key, module=module)
    try:
        yield fake
    finally:
        fake.stop()
