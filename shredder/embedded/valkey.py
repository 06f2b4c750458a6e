"""A real Valkey (or Redis) in the data folder, on 127.0.0.1 with a password."""

import re
import signal
import socket
import subprocess
from functools import cached_property
from pathlib import Path
from typing import IO

from shredder.embedded import binaries
from shredder.embedded.processes import stop_leftover
from shredder.embedded.state import State


class Valkey:
    """The queue and counter server of one data folder."""

    name = "valkey"
    stop_signal = signal.SIGTERM
    grace_seconds = 20.0
    # Said at each start and stop; nobody forks here for a snapshot, so memory overcommit is no matter.
    chatter = re.compile(r"Reading config from stdin|Memory overcommit must|Received SIGTERM sched|ready to exit, bye")

    def __init__(self, home: Path, state: State, *, durable: bool = True) -> None:
        self.state, self.durable = state, durable
        self.folder = home / "valkey"

    @cached_property
    def binary(self) -> binaries.Binary:
        return binaries.find_valkey()

    def clear_leftover(self) -> None:
        """Stop a server whose supervisor was killed; the caller holds the lock."""
        stop_leftover(self.folder / "valkey.pid", self.folder, self.stop_signal)

    def prepare(self) -> None:
        """Make the folder; the server makes the rest."""
        self.folder.mkdir(mode=0o700, exist_ok=True)

    def spawn(self, output: int | IO[bytes] | None) -> subprocess.Popen[bytes]:
        """Start the server, its log going to `output`; the password goes through stdin, where `ps` cannot see it."""
        process = subprocess.Popen(
            [self.binary.path, "-", "--dir", self.folder],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=self.folder,
        )
        assert process.stdin is not None
        process.stdin.write(self._configuration().encode())
        process.stdin.close()
        return process

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it answers PING."""
        try:
            with socket.create_connection(("127.0.0.1", self.state.valkey_port), timeout=2) as connection:
                connection.sendall(f"AUTH {self.state.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := connection.recv(256)):
                    answer += part
        except OSError:
            return False
        return answer.endswith(b"+PONG\r\n")

    def _configuration(self) -> str:
        return "\n".join(
            [
                "bind 127.0.0.1",
                "loglevel warning",
                f"port {self.state.valkey_port}",
                f"requirepass {self.state.password}",
                f"appendonly {'yes' if self.durable else 'no'}",
                'save ""',
                "maxmemory-policy noeviction",
                "databases 32",
                f'pidfile "{self.folder}/valkey.pid"',
                "set-proc-title no",  # The command line must go on naming the folder: see stop_leftover.
                "",
            ]
        )
