"""Real servers for tests: the web process as it is deployed, on the test database, in processes of its own."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connections

CHECKOUT = Path(__file__).resolve().parent.parent
START_SECONDS_MAX = 180.0
STOP_SECONDS_MAX = 30.0


@dataclass
class ProxyServer:
    """A running web process, or several that accept from one socket."""

    port: int
    listener: socket.socket
    processes: list[subprocess.Popen[bytes]]
    environment: dict[str, str]
    log: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai_base_url(self) -> str:
        return f"{self.address}/proxy/v1"

    @property
    def anthropic_base_url(self) -> str:
        return f"{self.address}/proxy"

    def kill(self, index: int) -> None:
        """kill -9 one process; nothing of it gets to say good-bye."""
        self.processes[index].kill()
        self.processes[index].wait()

    def start_again(self, index: int) -> None:
        """A new process in the place of a killed one."""
        self.processes[index] = _spawn(self.listener, self.environment, self.log)

    def has_started(self, index: int) -> bool:
        """Whether this process accepts calls."""
        return _has_started(self.processes[index])

    def stop(self) -> list[int]:
        """SIGTERM, and the exit codes."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        return [_ended(process) for process in self.processes]


@contextmanager
def proxy_server(log: Path, *, workers: int = 1, environment: Mapping[str, str] | None = None) -> Iterator[ProxyServer]:
    """Start the web process on the database of this test run.

    environment: what differs from the defaults, such as SHREDDER_OPENAI_BASE_URL.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        port = listener.getsockname()[1]
        variables = _environment(port) | dict(environment or {})
        processes = [_spawn(listener, variables, log) for _ in range(workers)]
        server = ProxyServer(port, listener, processes, variables, log)
        try:
            wait_until_ready(server)
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def database_template(django_test_environment: None, django_db_blocker: Any) -> Iterator[str]:
    """A migrated database that nobody connects to, to copy from."""
    name = f"template_{secrets.token_hex(4)}"  # one for each folder whose conftest takes this fixture
    with django_db_blocker.unblock():
        _administer(f"CREATE DATABASE {name}")
        environment = {**os.environ, "DATABASE_URL": database_url(name), "REDIS_URL": settings.REDIS_URL}
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"],
            cwd=CHECKOUT, env=environment, check=True,
        )  # fmt: skip
    yield name
    with django_db_blocker.unblock():
        _administer(f"DROP DATABASE {name}")


@pytest.fixture(scope="module")
def committed_database(database_template: str, django_db_blocker: Any) -> Iterator[str]:
    """A database of the module's own whose rows other processes see; the ORM of the tests works on it."""
    with _copy_of(database_template, django_db_blocker) as name:
        yield name


@pytest.fixture
def fresh_database(database_template: str, django_db_blocker: Any) -> Iterator[str]:
    """The same for a single test."""
    with _copy_of(database_template, django_db_blocker) as name:
        yield name


@contextmanager
def _copy_of(template: str, blocker: Any) -> Iterator[str]:
    connection = connections["default"]
    before, name = connection.settings_dict["NAME"], f"proxy_{secrets.token_hex(4)}"
    with blocker.unblock():
        _administer(f"CREATE DATABASE {name} TEMPLATE {template}")
        connection.close()
        connection.settings_dict["NAME"] = name
        try:
            yield name
        finally:
            connection.close()
            connection.settings_dict["NAME"] = before
            _administer(f"DROP DATABASE {name} WITH (FORCE)")


def wait_until_ready(server: ProxyServer) -> None:
    """Wait until every process has started and calls are served."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while not all(map(_has_started, server.processes)) or not _serves(server.address):
        dead = [process.returncode for process in server.processes if process.poll() is not None]
        if dead or time.monotonic() > deadline:
            started = [_has_started(process) for process in server.processes]
            log = server.log.read_text()[-4000:]
            raise AssertionError(f"the server is not ready (started: {started}, ended: {dead}):\n{log}")
        time.sleep(0.05)


def database_url(name: str | None = None) -> str:
    """The test database's address, or another one's on the same server."""
    database = connections["default"].settings_dict
    name = name or database["NAME"]
    return f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{name}"


def _administer(statement: str) -> None:
    with connections["default"]._nodb_cursor() as cursor:
        cursor.execute(statement)


def _has_started(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has said so itself, as it does to the supervisor."""
    assert isinstance(process.args, list)
    ready = Path(str(process.args[-1]))
    return ready.exists() and ready.read_text() == str(process.pid)


def _serves(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz", timeout=30).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _environment(port: int) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "shredder.settings",
        "DATABASE_URL": database_url(),
        "REDIS_URL": settings.REDIS_URL,
        "SITE_URL": f"http://127.0.0.1:{port}",
        "SHREDDER_ALLOW_PRIVATE_UPSTREAMS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _spawn(listener: socket.socket, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    ready = log.parent / f"ready-{secrets.token_hex(4)}"
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "shredder.embedded.web", "--fd", str(listener.fileno()), "--home", str(ready)],
            cwd=CHECKOUT,
            env={**environment, "SHREDDER_READY_FILE": str(ready)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
        )


def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
