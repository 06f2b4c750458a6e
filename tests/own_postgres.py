"""A PostgreSQL of a test's own, durable as in production, that may be killed, stopped and frozen."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings
from django.db import connections

from shredder.embedded.postgres import Postgres
from shredder.embedded.processes import POLL_SECONDS, stop
from shredder.embedded.state import keep_free_ports
from tests.servers import CHECKOUT

READY_SECONDS_MAX = 60.0


class OwnPostgres:
    """One cluster in a folder of its own and its server, if it runs."""

    def __init__(self, home: Path) -> None:
        self.state = keep_free_ports(home)
        self._server = Postgres(home, self.state, durable=True)
        self._server.prepare()
        self._log = home / "postgres.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._doomed: set[int] = set()
        self._frozen: list[int] = []

    def start(self) -> None:
        """Start the server and wait until it accepts connections, recovery included."""
        self._process = self._spawn()
        self._wait(self._is_ready)

    def stop(self) -> None:
        """An orderly stop; sessions end. Harmless when it does not run."""
        self.thaw()
        if self._process is not None:
            stop(self._process, self._server.stop_signal, self._server.grace_seconds)
            self._process = None

    def kill(self) -> None:
        """kill -9 all of it at once."""
        children = self._children()
        for pid in (self._pid, *children):
            _signal(pid, signal.SIGKILL)
        assert self._process is not None, "it ran"
        self._process.wait()
        self._process = None

    def kill_one(self, chance: random.Random) -> None:
        """kill -9 one of its processes: the server then ends all sessions and recovers by itself."""
        self._doomed = set(self._children())
        _signal(chance.choice(sorted(self._doomed)), signal.SIGKILL)

    def wait_until_recovered(self) -> None:
        """Wait until nobody is left who ran at the kill, and connections are accepted again."""
        self._wait(lambda: not self._doomed & set(self._children()) and self._accepts())

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does: connections stay open, and nobody answers."""
        # The parent first, so that it makes no more children.
        _signal(self._pid, signal.SIGSTOP)
        self._frozen = [self._pid, *self._children()]
        for pid in self._frozen:
            _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on. Harmless when it is not frozen."""
        for pid in self._frozen:
            _signal(pid, signal.SIGCONT)
        self._frozen = []

    @property
    def _pid(self) -> int:
        assert self._process is not None, "it runs"
        return self._process.pid

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return self._server.spawn(log)

    def _is_ready(self) -> bool:
        assert self._process is not None, "it was started"
        if self._process.poll() is not None:
            # A straggler of the killed server still held its memory.
            self._process = self._spawn()
        return self._server.is_ready(self._process)

    def _accepts(self) -> bool:
        """Whether somebody gets in: a server that recovers by itself calls itself ready all the while."""
        try:
            psycopg.connect(self.state.database_url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _children(self) -> list[int]:
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        pairs = [line.split() for line in listed.stdout.splitlines()]
        return [int(pid) for pid, parent in pairs if int(parent) == self._pid]

    def _wait(self, until: Any) -> None:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not until():
            assert time.monotonic() < deadline, self._log.read_text()[-4000:]
            time.sleep(POLL_SECONDS)


@pytest.fixture
def own_postgres(django_db_blocker: Any) -> Iterator[OwnPostgres]:
    """A migrated database on a server of the test's own; the ORM of the test works on it."""
    # The number lets a later run recognise what a killed one left behind.
    home = Path(tempfile.mkdtemp(prefix=f"awx-shredder-test-{os.getpid()}-"))
    home.chmod(0o711)
    postgres = OwnPostgres(home)
    try:
        postgres.start()
        _migrate(postgres.state.database_url)
        with django_db_blocker.unblock(), _orm_on(postgres.state.database_url):
            yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(home, ignore_errors=True)


def _migrate(database_url: str) -> None:
    environment = {**os.environ, "DATABASE_URL": database_url, "REDIS_URL": settings.REDIS_URL}
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=CHECKOUT, env=environment, check=True)


@contextmanager
def _orm_on(database_url: str) -> Iterator[None]:
    connection, url = connections["default"], urlsplit(database_url)
    before = dict(connection.settings_dict)
    connection.close()
    # Changed in place: threads make their connections from the same settings.
    connection.settings_dict.update(
        HOST=url.hostname, PORT=url.port, USER=url.username, PASSWORD=url.password, NAME=url.path.lstrip("/")
    )
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


def _signal(pid: int, number: int) -> None:
    """Send a signal to a process that may have ended meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
