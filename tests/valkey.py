"""A Valkey of a test's own, which can be stopped, frozen and flushed while others keep theirs."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shredder.embedded.processes import stop
from shredder.embedded.state import load_state
from shredder.embedded.valkey import Valkey

READY_SECONDS_MAX = 60


class PrivateValkey:
    """Started by private_valkey."""

    def __init__(self, home: Path) -> None:
        self._state = load_state(home)
        self._server = Valkey(home, self._state, durable=False)
        self._log = home / "valkey.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._server.prepare()
        self.start()

    @property
    def url(self) -> str:
        return self._state.redis_url

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = self._server.spawn(log)
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self._server.is_ready(self._process):
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once, as a crash would."""
        assert self._process is not None
        stop(self._process, signal.SIGKILL, 10)

    def freeze(self) -> None:
        """It keeps its connections and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> bytes:
        """One command and its whole answer, of small ones."""
        text = f"AUTH {self._state.password}\r\n{' '.join(words)}\r\nQUIT\r\n"
        with socket.create_connection(("127.0.0.1", self._state.valkey_port), timeout=10) as connection:
            connection.sendall(text.encode())
            answer = b""
            while part := connection.recv(65_536):
                answer += part
        return answer

    def scripts_run(self) -> int:
        """How many scripts it has run since it started; those it did not know yet are sent again."""
        for line in self.ask("INFO", "commandstats").decode().splitlines():
            name, _, facts = line.partition(":")
            if name == "cmdstat_evalsha":
                counts = dict(fact.split("=") for fact in facts.split(","))
                return int(counts["calls"]) - int(counts["failed_calls"])
        return 0


@contextmanager
def private_valkey(folder: Path) -> Iterator[PrivateValkey]:
    """A Valkey for the length of a block."""
    home = folder / "valkey-home"
    home.mkdir()
    valkey = PrivateValkey(home)
    try:
        yield valkey
    finally:
        valkey.stop()
