"""The programs that `up` keeps running besides the servers."""

import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from shredder.embedded.home import CHECKOUT
from shredder.embedded.processes import stop_leftover

# Longer than the web process's own grace, so that it ends by itself.
WEB_GRACE_SECONDS = 130.0
TASKS_AT_ONCE = 2


@dataclass(frozen=True)
class Program:
    """One of our own processes; it writes its number into a ready file once it works."""

    name: str
    arguments: tuple[str, ...]
    run: Path
    grace_seconds: float
    env: dict[str, str] = field(default_factory=dict)
    descriptors: tuple[int, ...] = ()
    stop_signal: int = signal.SIGTERM
    chatter: re.Pattern[str] | None = None

    def spawn(self, output: int | IO[bytes] | None) -> subprocess.Popen[bytes]:
        """Start it; its number is kept on disk in case the supervisor is killed."""
        self._file("ready").unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=CHECKOUT,
            pass_fds=self.descriptors,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "SHREDDER_READY_FILE": str(self._file("ready")),
                **self.env,
            },
        )
        self._file("pid").write_text(str(process.pid))
        return process

    def is_ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether this very process has said that it works."""
        try:
            return self._file("ready").read_text() == str(process.pid)
        except OSError:
            return False

    def _file(self, suffix: str) -> Path:
        return self.run / f"{self.name}.{suffix}"


def web_programs(home: Path, listener: socket.socket, workers: int) -> list[Program]:
    """One process a worker, all accepting from one socket: a killed one loses no waiting connection."""
    descriptor = listener.fileno()
    arguments = ("-m", "shredder.embedded.web", "--fd", str(descriptor), "--home", str(home))
    metrics = {"PROMETHEUS_MULTIPROC_DIR": str(home / "run" / "metrics")}
    return [
        Program(f"web-{number}", arguments, home / "run", WEB_GRACE_SECONDS, env=metrics, descriptors=(descriptor,))
        for number in range(1, workers + 1)
    ]


def task_programs(home: Path) -> list[Program]:
    """The worker that runs tasks and the clock that asks for them."""
    celery = ("-m", "celery", "-A", "shredder.celery", "--quiet")
    alone = ("--without-gossip", "--without-mingle", "--concurrency", str(TASKS_AT_ONCE))
    run = home / "run"
    worker = (*celery, "worker", *alone, "--statedb", str(run / "worker.state"))
    beat = (*celery, "beat", "--schedule", str(run / "beat-schedule"))
    return [
        Program("worker", worker, run, 30.0, chatter=re.compile(r"^worker: (Warm|Cold) shutdown")),
        Program("beat", beat, run, 10.0),
    ]


def clear_leftover_programs(home: Path) -> None:
    """Stop programs of this folder whose supervisor was killed; the caller holds its lock."""
    for pid_file in sorted((home / "run").glob("*.pid")):
        stop_leftover(pid_file, home, signal.SIGTERM)
