"""One view of the database for everything that a run compares, and one run at a time."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from django.db import connection, transaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.utils import CursorWrapper

_LOCK = "hashtextextended('audit', 0)"
# Each flush is one commit, so any snapshot is consistent in itself.
_SETTINGS = (
    "SET LOCAL TIME ZONE 'UTC'",
    # Audits read much: no page's time limit applies. They leave the other cores to calls.
    "SET LOCAL statement_timeout = 0",
    "SET LOCAL max_parallel_workers_per_gather = 0",
    "SET LOCAL jit = off",
    "SET LOCAL work_mem = '64MB'",
)
POLL_SECONDS = 0.5


class AuditUnderWay(Exception):
    """Another process is auditing these books."""


@contextmanager
def snapshot(*, read_only: bool) -> Iterator[CursorWrapper]:
    """A transaction that sees the database as it is now, whatever calls do meanwhile."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ" + (", READ ONLY" if read_only else ""))
        for setting in _SETTINGS:
            cursor.execute(setting)
        yield cursor


@contextmanager
def alone(wait_seconds: float) -> Iterator[None]:
    """Keep other audits away, so that no row is remembered twice.

    wait_seconds: how long to wait for one that is under way. Raises AuditUnderWay.
    """
    gives_up_at = time.monotonic() + wait_seconds
    while not _answer(f"SELECT pg_try_advisory_lock({_LOCK})"):
        if time.monotonic() >= gives_up_at:
            raise AuditUnderWay
        time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        # Where the connection was lost, so was the lock.
        if connection.connection is not None and not connection.connection.closed:
            _answer(f"SELECT pg_advisory_unlock({_LOCK})")


def _answer(question: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(question)
        return bool(cursor.fetchone()[0])
