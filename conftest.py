"""Starts real servers once for the whole test run and takes them away again."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from shredder.embedded.errors import CannotStart
from shredder.embedded.home import servers_are_embedded, sole_owner
from shredder.embedded.processes import command_line

# Helpers of tests assert too, and must say what they compared.
pytest.register_assert_rewrite("tests")

# Programs that tests start again and again must not be compiled again and again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

_running = ExitStack()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start servers in the controller only; parallel workers inherit their addresses."""
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    with contextlib.suppress(ValueError):  # Not the main thread: somebody else handles signals.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not servers_are_embedded():
        return
    _clear_killed_runs()
    home = Path(os.environ["SHREDDER_HOME"])
    if os.environ.get("SHREDDER_TEST_HOME"):
        _running.callback(shutil.rmtree, home, ignore_errors=True)
    try:
        _running.enter_context(sole_owner(home))
        _running.callback(_start(home).stop)
    except CannotStart as reason:
        if os.environ.get("SHREDDER_TEST_HOME"):
            _running.close()
            pytest.exit(f"the test servers cannot start: {reason}", returncode=3)
        # A folder given by the developer, with `up` running on it: its servers will do.


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Let the end of a day or hour pass before the next test, not in the middle of it."""
    from tests.boundaries import wait_seconds

    time.sleep(wait_seconds(time.time()))


def pytest_unconfigure() -> None:
    _running.close()


def _start(home: Path) -> Any:
    from shredder.embedded.servers import RunningServers

    return RunningServers(home, durable=os.environ.get("SHREDDER_TEST_FSYNC") == "1")


def _clear_killed_runs() -> None:
    """Stop and delete what runs that were killed with -9 left in the temporary folder."""
    from shredder.embedded.servers import clear_leftovers

    for folder in Path(tempfile.gettempdir()).glob("awx-shredder-test-*"):
        pid = folder.name.split("-")[3]
        if pid.isdigit() and not command_line(int(pid)) and folder.stat().st_uid == os.geteuid():
            clear_leftovers(folder)
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mail_folder(tmp_path: Path, settings: Any) -> Path:
    """A folder where the development mail backend writes, for one test."""
    folder = tmp_path / "mail"
    settings.MAILERS = {"default": {"BACKEND": "shredder.mail.EmailBackend", "OPTIONS": {"file_path": str(folder)}}}
    return folder
