"""A real PostgreSQL in the data folder, on 127.0.0.1 with a password."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from shredder.embedded import binaries
from shredder.embedded.errors import CannotStart
from shredder.embedded.privileges import SHARED, ServerUser, server_user
from shredder.embedded.processes import stop_leftover
from shredder.embedded.state import State

BUILTIN_LOCALE_SINCE = 17
# After a kill, one call brings the whole file system to disk; thousands of files one by one take seconds.
QUICK_RECOVERY = ("recovery_init_sync_method=syncfs",) if sys.platform == "linux" else ()
UNSAFE_AND_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class Postgres:
    """The database server of one data folder. `durable=False` is for tests: a crash may lose everything."""

    name = "postgres"
    stop_signal = signal.SIGINT  # Its "fast" stop: sessions end, nothing is lost.
    grace_seconds = 60.0
    # The lines of an ordinary start and stop. An end that was not ordinary says other things.
    chatter = re.compile(
        r" LOG:  (starting PostgreSQL|listening on|database system (was shut down at|is ready|is shut down)"
        r"|received (fast|smart) shutdown|aborting any active|shutting down|background worker \"logical replication)"
    )

    def __init__(self, home: Path, state: State, *, durable: bool = True) -> None:
        self.home, self.state, self.durable = home, state, durable
        self.user: ServerUser = server_user()
        self.folder = self._choose_folder()
        self.data = self.folder / "data"

    @cached_property
    def binary(self) -> binaries.Binary:
        return binaries.within_reach(binaries.find_postgres(), self.user)

    def clear_leftover(self) -> None:
        """Stop a server whose supervisor was killed; the caller holds the lock."""
        stop_leftover(self.data / "postmaster.pid", self.folder, self.stop_signal)

    def prepare(self) -> None:
        """Make the cluster on first use; one that was interrupted on the way is made again."""
        mark = self.folder / "ready"
        if mark.exists():
            if mark.read_text() != self._fingerprint():
                raise CannotStart(f"{self.home}/state.json does not belong to {self.data}: restore it, or delete both")
            return
        shutil.rmtree(self.data, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._own(self.folder)
        self._initialise()
        self._create_database()
        mark.write_text(self._fingerprint())

    def spawn(self, output: int | IO[bytes] | None) -> subprocess.Popen[bytes]:
        """Start the server, its log going to `output`."""
        arguments = [
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "max_connections=200",
            "log_checkpoints=off",
            *QUICK_RECOVERY,
            *(() if self.durable else UNSAFE_AND_FAST),
        ]
        options = [word for argument in arguments for word in ("-c", argument)]
        return subprocess.Popen(
            [self.binary.path, "-D", self.data, "-p", str(self.state.postgres_port), *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self._environment(),
        )

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether connections are accepted, as the server itself says in its pid file's eighth line."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready"

    def _choose_folder(self) -> Path:
        """Beside the rest, unless the user that root becomes cannot get there."""
        if self.user.can_reach(self.home):
            return self.home / "postgres"
        # The password is part of the name: a folder made anew must not meet the old one's cluster.
        name = hashlib.sha256(f"{self.home}:{self.state.password}".encode()).hexdigest()[:16]
        SHARED.mkdir(parents=True, exist_ok=True)
        SHARED.chmod(0o755)
        return SHARED / name / "postgres"

    def _initialise(self) -> None:
        password_file = self.folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.state.password)
        self._own(password_file)
        builtin = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        locale = builtin if self.binary.version[0] >= BUILTIN_LOCALE_SINCE else ["--locale=C.UTF-8"]
        command: list[str | Path] = [
            self.binary.path.with_name("initdb"),
            "-D",
            self.data,
            "-U",
            "shredder",
            "--encoding=UTF8",
        ]
        try:
            self._run([*command, *locale, "--auth=scram-sha-256", f"--pwfile={password_file}"])
        finally:
            password_file.unlink()

    def _create_database(self) -> None:
        # Single-user mode needs no password, no port and no client program.
        self._run([self.binary.path, "--single", "-D", self.data, "postgres"], b"CREATE DATABASE shredder\n")

    def _run(self, command: Sequence[str | Path], stdin: bytes = b"") -> None:
        answer = subprocess.run(command, input=stdin, capture_output=True, **self._environment())
        if answer.returncode:
            lines = (answer.stderr or answer.stdout).decode(errors="replace").strip().splitlines() or ["no output"]
            raise CannotStart(f"setting up PostgreSQL failed ({Path(command[0]).name}): {lines[-1]}")

    def _environment(self) -> dict[str, Any]:
        # Started where its user may be: PostgreSQL looks at the working folder.
        env = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        return {"env": env, "cwd": self.folder, **self.user.popen_options()}

    def _own(self, path: Path) -> None:
        if self.user.dropped:
            os.chown(path, self.user.uid, self.user.gid)

    def _fingerprint(self) -> str:
        return hashlib.sha256(self.state.password.encode()).hexdigest()
