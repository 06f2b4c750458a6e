"""The worker and the timetable as they are deployed: real Celery in processes of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from tests.servers import CHECKOUT, database_url

STOP_SECONDS_MAX = 20


@contextmanager
def celery_processes(
    folder: Path, *, workers: int, beats: int, environment: Mapping[str, str]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start workers and timetables on the database of this test.

    environment: what differs from the defaults, such as EMAIL_URL.
    """
    variables = {
        **os.environ, "DJANGO_SETTINGS_MODULE": "shredder.settings", "DATABASE_URL": database_url(),
        "REDIS_URL": settings.REDIS_URL, **environment,
    }  # fmt: skip
    commands = [_worker(number) for number in range(workers)] + [_beat(folder, number) for number in range(beats)]
    with (folder / "celery.log").open("ab") as log:
        processes = [
            subprocess.Popen(command, cwd=CHECKOUT, env=variables, stdout=log, stderr=subprocess.STDOUT)
            for command in commands
        ]
    try:
        yield processes
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            _end(process)


def _worker(number: int) -> list[str]:
    quiet = (
        "--without-gossip",
        "--without-mingle",
        "--concurrency",
        "2",
        "--loglevel",
        "INFO",
        "--hostname",
        f"worker{number}@%h",
    )
    return [sys.executable, "-m", "celery", "-A", "shredder.celery", "worker", *quiet]


def _beat(folder: Path, number: int) -> list[str]:
    files = ("--schedule", str(folder / f"beat{number}"), "--pidfile", str(folder / f"beat{number}.pid"))
    return [sys.executable, "-m", "celery", "-A", "shredder.celery", "beat", "--loglevel", "INFO", *files]


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
