"""Both servers together, without a supervisor: for tests and for single commands."""

import atexit
import subprocess
from pathlib import Path

from shredder.embedded.postgres import Postgres
from shredder.embedded.processes import kill_group, stop
from shredder.embedded.state import keep_free_ports, load_state
from shredder.embedded.valkey import Valkey


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
        self._servers = prepare_servers(home, durable=durable)
        self._processes: list[subprocess.Popen[bytes]] = []
        # A crash on the way out must not leave servers behind.
        atexit.register(self.stop)
        for server in self._servers:
            with (home / f"{server.name}.log").open("ab") as log:
                self._processes.append(server.spawn(log))
            server.wait_ready(self._processes[-1])

    def stop(self) -> None:
        """Stop both, the database last; harmless when repeated."""
        for server, process in reversed(list(zip(self._servers, self._processes, strict=False))):
            stop(process, server.stop_signal, server.grace_seconds)
            kill_group(process.pid)
        self._processes.clear()
        atexit.unregister(self.stop)
