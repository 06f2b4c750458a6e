"""What a ledger does beside its flushes: lease, reaper, burials, rows of refusals, partitions."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

import psycopg

from agents.ledger import connection as connections
from agents.ledger import leases, partitions, refusals
from agents.ledger.faults import fault
from agents.ledger.wire import to_json

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from agents.ledger.batcher import Batcher
    from agents.ledger.waiting import WaitingAsk

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25
REFUSALS_SECONDS = 0.5
REAP_SECONDS = 3.0
PARTITIONS_SECONDS = 3600.0
EXPIRE_MAX = 500  # reservations in one sweep; the next follows at once when it was full
# Even a living owner may not hold longer than this past its deadline: it has lost the call.
LATE_MAX_SECONDS = 600.0

BURY = "SELECT ledger_bury(%s, %s, %s, %s, %s, %s, %s::jsonb)"
EXPIRE = "SELECT expired, suspicious FROM ledger_expire(%s, %s, make_interval(secs => %s))"


class Upkeep:
    """One connection and one loop for everything that must not wait in front of calls, nor make them wait."""

    def __init__(self, conninfo: str, owner: UUID) -> None:
        self.refusals = refusals.Refusals()
        self.suspicious_count = 0
        self._conninfo = conninfo
        self._owner = owner
        self._graves: deque[WaitingAsk] = deque()
        self._connection: connections.Connection | None = None
        self._due: dict[str, float] = {}
        self._rows: list[dict[str, Any]] = []
        self._degraded_since: datetime | None = None

    def bury(self, waiting: WaitingAsk) -> None:
        """See to it that an ask without an answer holds nothing."""
        self._graves.append(waiting)

    def note_degraded(self, since: datetime | None) -> None:
        """Say in the lease, at the next tick, since when this process's guards count alone; None: they do not."""
        self._degraded_since = since
        self._due.pop("lease", None)

    async def run(self, batcher: Batcher) -> None:
        """Do what is due until cancelled; PostgreSQL's absence delays it and is told once."""
        is_failing = False
        while True:
            batcher.poke()
            try:
                await self.once(batcher)
            except (psycopg.Error, OSError, TimeoutError) as error:
                if not is_failing:
                    logger.warning("The ledger's upkeep failed, and is tried again until it works: %r", error)
                is_failing = True
                await self.close()
                self._due.clear()
            else:
                is_failing = False
            await asyncio.sleep(TICK_SECONDS)

    async def once(self, batcher: Batcher) -> None:
        """Do what is due now."""
        now = asyncio.get_running_loop().time()
        if self._is_due("lease", leases.RENEW_SECONDS, now):
            await self._renew_lease()
        while self._graves:
            await self._bury_first(batcher)
        if self._is_due("refusals", REFUSALS_SECONDS, now):
            await self.write_refusals()
        if self._is_due("partitions", PARTITIONS_SECONDS, now):
            await self._execute(partitions.ENSURE, (partitions.DAYS_BACK, partitions.DAYS_AHEAD))
        if self._is_due("reap", REAP_SECONDS, now):
            is_cautious = batcher.connected_at == 0 or now - batcher.connected_at < leases.LEASE_SECONDS
            while len(await self.reap(is_cautious=is_cautious)) == EXPIRE_MAX:
                pass

    async def reap(self, *, is_cautious: bool) -> list[UUID]:
        """Expire holds that nobody will settle and return their ids.

        is_cautious: PostgreSQL has just come back, so that many leases may look expired that are not.
        """
        await self._find_dead_neighbours()
        rows = await self._execute(EXPIRE, (is_cautious, EXPIRE_MAX, LATE_MAX_SECONDS))
        fault("after_expire_sent")
        expired, suspicious = rows[0]
        self.suspicious_count = suspicious
        if suspicious:
            logger.error("The reaper stopped: %s holds would expire just after PostgreSQL came back", suspicious)
        if expired:
            logger.warning("Expired %s holds at their ceilings: %s …", len(expired), expired[0])
        return list(expired)

    async def write_refusals(self) -> None:
        """Write the rows of refused calls; they are kept until that worked."""
        self._rows = self._rows or self.refusals.take()
        if self._rows:
            try:
                await self._execute(refusals.RECORD, (to_json(self._rows),))
            except psycopg.Error as error:
                if connections.is_away(error) or connections.is_passing(error):
                    raise
                # Rows that cannot be written must not hold up those behind them.
                logger.exception("Refusals could not be written")
            self._rows = []

    async def give_back_lease(self) -> None:
        """Say that this process settles nothing any more; what it still holds may expire at once."""
        await self._execute(leases.GIVE_BACK, {"owner": self._owner})

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _is_due(self, what: str, seconds: float, now: float) -> bool:
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + seconds
        return True

    async def _renew_lease(self) -> None:
        values = {
            "owner": self._owner,
            "seconds": leases.LEASE_SECONDS,
            "process": leases.process(),
            "degraded_since": self._degraded_since,
        }
        await self._execute(leases.RENEW, values)

    async def _find_dead_neighbours(self) -> None:
        here = {"owner": self._owner, "machine": leases.machine()}
        rows = await self._execute(leases.OTHERS_HERE, here)
        if dead := [owner for owner, name in rows if leases.is_dead(name)]:
            await self._execute(leases.BURY_OWNERS, {"owners": dead})
        await self._execute(leases.FORGET, None)

    async def _bury_first(self, batcher: Batcher) -> None:
        waiting = self._graves[0]
        ask = waiting.ask
        rows = await self._execute(
            BURY,
            (
                ask.call_id,
                ask.organization_id,
                ask.agent_id,
                self._owner,
                ask.practice,
                ask.usd_pico,
                to_json(waiting.start),
            ),
        )
        fault("after_bury_sent")
        self._graves.popleft()
        if not rows[0][0]:
            batcher.withdraw(waiting)

    async def _execute(self, query: str, parameters: Any) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = await connections.connect(self._conninfo, purpose="upkeep")
        with connections.bounded(self._connection):
            cursor = await self._connection.execute(query, parameters)
            return await cursor.fetchall() if cursor.description else []
