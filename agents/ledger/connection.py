"""The ledger's own connections, with the time-outs and the planning it needs (rule 17)."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo

CONNECT_SECONDS = 5
# A lock that takes longer than this means somebody holds balances in a page or a shell.
LOCK_TIMEOUT_MS = 2_000
STATEMENT_TIMEOUT_MS = 5_000
IDLE_IN_TRANSACTION_MS = 5_000
# Longer than the server's own limit, so that the server speaks first; then the connection counts as lost.
ANSWER_SECONDS = 6.0

SETTINGS = {
    "lock_timeout": LOCK_TIMEOUT_MS,
    "statement_timeout": STATEMENT_TIMEOUT_MS,
    "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_MS,
    "default_transaction_isolation": "read\\ committed",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "jit": "off",
    # Every look-up of a flush is by id: plans made once, nested loops over indexes, whatever the statistics say.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

type Connection = AsyncConnection[tuple[Any, ...]]


def conninfo_of_django() -> str:
    """Return where Django's default database is."""
    from django.db import connection

    given = connection.settings_dict
    named = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return make_conninfo("", **{key: str(given[name]) for key, name in named.items() if given.get(name)})


async def connect(conninfo: str, *, purpose: str) -> Connection:
    """Open a connection for one purpose, in autocommit: each statement of the ledger is its own transaction.

    purpose: shown in pg_stat_activity.
    """
    return await AsyncConnection.connect(
        conninfo,
        autocommit=True,
        prepare_threshold=0,
        connect_timeout=CONNECT_SECONDS,
        application_name=f"shredder ledger {purpose}",
        options=" ".join(f"-c {name}={value}" for name, value in SETTINGS.items()),
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=15_000,
    )


@contextmanager
def bounded(connection: Connection) -> Iterator[None]:
    """Wait for an answer for ANSWER_SECONDS at most; whoever still waits then meets a lost connection.

    The line is cut rather than the wait cancelled: psycopg would answer that with a request to cancel the statement,
    and wait ten more seconds for its effect on a server that has vanished.
    """
    bound = asyncio.get_running_loop().call_later(ANSWER_SECONDS, _hang_up, connection)
    try:
        yield
    finally:
        bound.cancel()


def _hang_up(connection: Connection) -> None:
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
        line.shutdown(socket.SHUT_RDWR)


def is_lost(error: BaseException) -> bool:
    """Tell a lost connection, whose last statement may or may not have happened, from a plain refusal."""
    if isinstance(error, TimeoutError | OSError | psycopg.InterfaceError):
        return True
    if not isinstance(error, psycopg.OperationalError):
        return False
    state = error.sqlstate
    # Without a state the client noticed; 57P0x and 08xxx are the server going away.
    return state is None or state.startswith(("57P", "08"))


def refuses_writes(error: BaseException) -> bool:
    """Tell a server that answers but can write nothing for now: disk or memory are full, or it is a read-only copy."""
    state = getattr(error, "sqlstate", None) or ""
    return state == "25006" or state.startswith(("53", "58"))


def is_away(error: BaseException) -> bool:
    """Tell a server that cannot be worked with for now, lost or unable to write, from a fault in what it was sent."""
    return is_lost(error) or refuses_writes(error)


def is_passing(error: BaseException) -> bool:
    """Tell failures that left nothing behind and may go away: deadlock, lock or time limit."""
    return getattr(error, "sqlstate", None) in {"40001", "40P01", "55P03", "57014"}
