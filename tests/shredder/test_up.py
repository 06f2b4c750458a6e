"""The whole installation, as the operator runs it: one story, because each start costs seconds."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shredder.embedded.home import CHECKOUT
from shredder.management.commands.up import Command

START_SECONDS_MAX = 180
OURS = ("DATABASE_URL", "REDIS_URL", "SITE_URL", "SHREDDER_TEST_HOME", "PYTEST_XDIST_WORKER", "PYTEST_CURRENT_TEST")


class Up:
    """A running `up`, its output in a file."""

    def __init__(self, home: Path, *options: str) -> None:
        self.log = home / "up.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(command(*options), cwd=CHECKOUT, env=environment(home), stdout=output)
        wait_until(lambda: self.port is not None or self.process.poll() is not None)
        assert self.port is not None, self.log.read_text()[-3000:]

    @property
    def port(self) -> int | None:
        found = re.search(r"^ready http://127\.0\.0\.1:(\d+)$", self.log.read_text(), flags=re.MULTILINE)
        return int(found[1]) if found else None

    def answers(self, path: str = "/readyz") -> int | None:
        assert self.port
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()


def command(*options: str) -> list[str]:
    return [sys.executable, "manage.py", "up", "--workers", "1", *options]


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OURS}
    return kept | {"SHREDDER_HOME": str(home), "DJANGO_SETTINGS_MODULE": "shredder.settings"}


def refusal(home: Path, *options: str) -> tuple[int, str]:
    answer = subprocess.run(
        command(*options), cwd=CHECKOUT, env=environment(home), capture_output=True, text=True, timeout=60
    )
    return answer.returncode, answer.stderr


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def processes_of(home: Path) -> set[int]:
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"{home}/" in (entry / "cmdline").read_text().replace("\0", " ") + "/":
                found.add(int(entry.name))
        except OSError:
            continue
    return found


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)
        for pid in processes_of(Path(name)):
            os.kill(pid, signal.SIGKILL)


def test_up_refuses_recovers_and_stops(home: Path) -> None:
    up = Up(home, "--port", "0")
    assert up.answers("/") == 200
    assert (home / "run/site").read_text() == f"http://127.0.0.1:{up.port}"
    # Known to other commands before the first page answers: `demo` may be run meanwhile.
    assert (home / "run/site").stat().st_mtime_ns < (home / "run/web-1.pid").stat().st_mtime_ns

    code, words = refusal(home, "--port", "0")
    assert (code, words) == (1, f"up: already running on {home} (process {up.process.pid})\n")

    web = int((home / "run/web-1.pid").read_text())
    os.kill(web, signal.SIGKILL)
    wait_until(lambda: int((home / "run/web-1.pid").read_text()) != web and up.answers() == 200)

    up.process.kill()
    up.process.wait()
    orphans = processes_of(home)
    assert orphans, "a killed supervisor leaves its children behind; the next one must find them"
    up = Up(home, "--port", "0")
    assert not orphans & processes_of(home)

    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(60) == 0
    assert processes_of(home) == set()
    assert not (home / "run/site").exists()


def test_a_taken_port_is_one_line(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, words = refusal(home, "--port", str(port))
    reason = f"cannot listen on 127.0.0.1 port {port}: address already in use (see --host and --port)"
    assert (code, words) == (1, f"up: {reason}\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "x"], "up: argument --port: invalid int value: 'x' (see ./dev up --help)\n"),
        (["--port", "70000"], "up: --port must be between 0 and 65535, not 70000\n"),
        (["--workers", "0"], "up: --workers must be between 1 and 64, not 0\n"),
    ],
)
def test_a_bad_option_is_one_line(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        Command().run_from_argv(["manage.py", "up", *options])
    assert (end.value.code, capsys.readouterr().err) == (2, words)
