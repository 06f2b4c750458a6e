import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from shredder.embedded.errors import CannotStart
from shredder.embedded.supervisor import Interrupted, Supervisor

RUNS = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
ENDS = "raise SystemExit('no')"
SAYS_WHEN_STOPPED = """
import pathlib, signal, sys, time
def note(*_):
    with open(sys.argv[1] + '.order', 'a') as order: order.write(sys.argv[2])
    sys.exit()
signal.signal(signal.SIGTERM, note)
pathlib.Path(sys.argv[1] + sys.argv[2]).touch()
time.sleep(60)
"""


@dataclass
class Script:
    """A service that is ready once its file exists."""

    name: str
    code: str
    file: Path
    words: tuple[str, ...]
    stop_signal: int = 15
    chatter: re.Pattern[str] | None = None
    grace_seconds: float = 10.0

    def spawn(self, output: int | IO[bytes] | None) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-c", self.code, *self.words]
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)

    def is_ready(self, process: "subprocess.Popen[bytes]") -> bool:
        return self.file.exists()


def wait_for(condition: Callable[[], bool], supervisor: Supervisor) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        supervisor._tick_all()


def test_what_was_killed_comes_back(tmp_path: Path) -> None:
    supervisor = Supervisor()
    supervisor.start([[Script("one", RUNS, tmp_path / "one", (str(tmp_path / "one"),))]], seconds_max=20)
    [runner] = supervisor._groups[0]
    first = runner.process
    (tmp_path / "one").unlink()
    first.kill()
    wait_for(lambda: runner.process is not first and runner.is_ready(), supervisor)
    supervisor.stop()
    assert runner.process.poll() is not None


def test_groups_stop_in_the_opposite_order(tmp_path: Path) -> None:
    supervisor = Supervisor()
    mark = str(tmp_path / "mark")
    groups = [[Script(name, SAYS_WHEN_STOPPED, Path(mark + name), (mark, name))] for name in "abc"]
    supervisor.start(groups, seconds_max=20)
    supervisor.stop()
    assert Path(mark + ".order").read_text() == "cba"


def test_a_service_that_never_starts_is_named(tmp_path: Path) -> None:
    supervisor = Supervisor()
    with pytest.raises(CannotStart, match="broken ends as soon as it starts"):
        supervisor.start([[Script("broken", ENDS, tmp_path / "never", ())]], seconds_max=20)
    supervisor.stop()


def test_a_command_that_fails_gives_its_last_words() -> None:
    with pytest.raises(CannotStart, match="prepare failed with code 1: no"):
        Supervisor().run_once("prepare", [sys.executable, "-c", ENDS])


def test_a_signal_ends_the_start(tmp_path: Path) -> None:
    supervisor = Supervisor()
    supervisor.signals = 1
    with pytest.raises(Interrupted):
        supervisor.start([[Script("slow", RUNS, tmp_path / "never", (str(tmp_path / "x"),))]], seconds_max=20)
    supervisor.stop()


def test_an_ordinary_start_is_quiet_and_a_fault_is_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "print('LOG:  starting PostgreSQL 18\\nFATAL:  no space left', flush=True)\n" + RUNS
    script = Script("one", code, tmp_path / "one", (str(tmp_path / "one"),), chatter=re.compile("starting Post"))
    supervisor = Supervisor()
    supervisor.start([[script]], seconds_max=20)
    heard = ""
    deadline = time.monotonic() + 20
    while "FATAL" not in heard and time.monotonic() < deadline:
        heard += capsys.readouterr().out
    supervisor.stop()
    assert heard == "one      | FATAL:  no space left\n"
