"""Hears of stops and revoked keys on a connection of its own, and cuts the calls of this process that they meet."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args
from uuid import UUID

import psycopg

from agents.ledger import connection as connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

CHANNEL = "shredder_stop"
ANNOUNCE = "SELECT pg_notify(%s, %s)"
# Also the connection's heartbeat: one that died without a word is noticed and opened again.
CHECK_SECONDS = 5.0
RETRY_SECONDS = 0.1
RETRY_SECONDS_MAX = 1.0

CHECK = """
SELECT 'agent', id::text, '' FROM agent WHERE id = ANY(%(agents)s) AND stopped_at IS NOT NULL
UNION ALL
SELECT 'key', id::text, 'awx_' || mode || '_' || public_id || '…' FROM agent_key
WHERE id = ANY(%(keys)s) AND revoked_at IS NOT NULL
UNION ALL
SELECT 'organization_key', id::text, 'awx_org_' || public_id || '…' FROM organization_key
WHERE id = ANY(%(organization_keys)s) AND revoked_at IS NOT NULL
"""

type Target = Literal["agent", "key", "organization_key", "organization"]


class Stoppable(Protocol):
    """A running call, as far as a stop is concerned."""

    @property
    def organization_id(self) -> UUID: ...

    @property
    def agent_id(self) -> UUID: ...

    @property
    def key_id(self) -> int | None: ...

    @property
    def organization_key_id(self) -> int | None: ...

    def cut(self, stop: Stop) -> None:
        """End the call at once; again is no harm."""
        ...


@dataclass(frozen=True, slots=True)
class Stop:
    """What is cut: the running calls of one agent, of one key (an agent's or an organisation's) or of an organisation.

    shown: of a key, its masked form, for the client.
    """

    target: Target
    id: UUID | int
    shown: str = ""

    def payload(self) -> str:
        """The stop as it travels in a notification."""
        return json.dumps({self.target: str(self.id)} | ({"shown": self.shown} if self.shown else {}))

    def covers(self, call: Stoppable) -> bool:
        """Whether the call is one of those to be cut."""
        ids = {
            "agent": call.agent_id,
            "key": call.key_id,
            "organization_key": call.organization_key_id,
            "organization": call.organization_id,
        }
        return ids[self.target] == self.id


def read_stop(payload: str) -> Stop:
    """Read a notification; raises ValueError for what none of our actions sent."""
    told = json.loads(payload)
    targets = [target for target in get_args(Target.__value__) if isinstance(told, dict) and target in told]
    if len(targets) != 1:
        raise ValueError("a stop names one agent, one key or one organisation")
    return _stop(targets[0], str(told[targets[0]]), str(told.get("shown", "")))


class StopListener:
    """One for each process that runs calls.

    running: the calls that run here now, those that are just being admitted included.
    dsn: where PostgreSQL is; Django's default database when None.
    """

    def __init__(self, running: Callable[[], Iterable[Stoppable]], dsn: str | None = None) -> None:
        self._running = running
        self._conninfo = connections.conninfo_of_django() if dsn is None else dsn

    async def run(self) -> None:
        """Listen until cancelled; PostgreSQL's absence delays it and is told once."""
        wait_seconds = RETRY_SECONDS
        while True:
            try:
                async with await connections.connect(self._conninfo, purpose="stops") as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    while True:
                        await self._make_up(connection)
                        wait_seconds = RETRY_SECONDS
                        await self._listen(connection)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if wait_seconds == RETRY_SECONDS:
                    logger.warning("Stops are not heard here until PostgreSQL is back: %r", error)
            await asyncio.sleep(wait_seconds)
            wait_seconds = min(2 * wait_seconds, RETRY_SECONDS_MAX)

    async def _listen(self, connection: connections.Connection) -> None:
        """Hear of stops until the next check is due."""
        async for notification in connection.notifies(timeout=CHECK_SECONDS):
            try:
                stop = read_stop(notification.payload)
            except ValueError:
                logger.exception("A notification that names no stop")
            else:
                _cut(stop, self._running())

    async def _make_up(self, connection: connections.Connection) -> None:
        """Ask which running calls should have been cut: a notification may have been lost.

        Calls that begin meanwhile are left alone: what stops them is decided later, and then this connection hears.
        """
        calls = tuple(self._running())
        values = {
            "agents": list({call.agent_id for call in calls}),
            "keys": _known(call.key_id for call in calls),
            "organization_keys": _known(call.organization_key_id for call in calls),
        }
        with connections.bounded(connection):
            rows: list[tuple[Any, ...]] = await (await connection.execute(CHECK, values)).fetchall()
        for target, id_text, shown in rows:
            _cut(_stop(target, id_text, shown), calls)


def _known(ids: Iterable[int | None]) -> list[int]:
    return list({one for one in ids if one is not None})


def _cut(stop: Stop, calls: Iterable[Stoppable]) -> None:
    for call in [call for call in calls if stop.covers(call)]:
        call.cut(stop)


def _stop(target: Target, id_text: str, shown: str) -> Stop:
    return Stop(target, int(id_text) if target in ("key", "organization_key") else UUID(id_text), shown)
