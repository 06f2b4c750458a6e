"""Both servers together, without a supervisor: for tests and for single commands."""

import atexit
import subprocess
import time
from pathlib import Path

from shredder.embedded.errors import CannotStart
from shredder.embedded.postgres import Postgres
from shredder.embedded.processes import POLL_SECONDS, kill_group, stop
from shredder.embedded.state import keep_free_ports, load_state
from shredder.embedded.valkey import Valkey

READY_SECONDS_MAX = 60  # Recovery after a crash is part of it.


def prepare_servers(home: Path, *, durable: bool = True) -> tuple[Postgres, Valkey]:
    """Find, clean up after and set up both servers of a folder whose lock the caller holds."""
    clear_leftovers(home)
    state = keep_free_ports(home)
    postgres, valkey = Postgres(home, state, durable=durable), Valkey(home, state, durable=durable)
    for server in (postgres, valkey):
        server.prepare()
    return postgres, valkey


def clear_leftovers(home: Path) -> None:
    """Stop servers of this folder that outlived their supervisor; the caller holds its lock."""
    if (home / "state.json").exists():
        state = load_state(home)
        for server in (Valkey(home, state), Postgres(home, state)):
            server.clear_leftover()


class RunningServers:
    """Both servers, running; logs go to files in the data folder."""

    def __init__(self, home: Path, *, durable: bool = True) -> None:
        self._running: list[tuple[Postgres | Valkey, subprocess.Popen[bytes]]] = []
        # A crash on the way out must not leave servers behind.
        atexit.register(self.stop)
        for server in prepare_servers(home, durable=durable):
            with (home / f"{server.name}.log").open("ab") as log:
                self._running.append((server, server.spawn(log)))
            _wait_ready(*self._running[-1])

    def stop(self) -> None:
        """Stop both, the database last; harmless when repeated."""
        while self._running:
            server, process = self._running.pop()
            stop(process, server.stop_signal, server.grace_seconds)
            kill_group(process.pid)
        atexit.unregister(self.stop)


def _wait_ready(server: Postgres | Valkey, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while not server.is_ready(process):
        if process.poll() is not None:
            raise CannotStart(f"{server.name} ended with code {process.returncode}; {server.name}.log says why")
        if time.monotonic() > deadline:
            raise CannotStart(f"{server.name} was not ready after {READY_SECONDS_MAX} seconds")
        time.sleep(POLL_SECONDS)
