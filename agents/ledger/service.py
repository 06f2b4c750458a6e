"""The ledger of one process: hold before a call, end it after."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg

from agents.ledger.batcher import ASKS_MAX, Batcher
from agents.ledger.connection import conninfo_of_django
from agents.ledger.errors import LedgerAway
from agents.ledger.faults import fault
from agents.ledger.reads import Reader
from agents.ledger.stored import StoredAnswer, StoredResponses
from agents.ledger.terms import (
    USD_PICO_MAX,
    Ask,
    BudgetFacts,
    CachedRow,
    CallEnd,
    CallStart,
    CallState,
    RefusalRow,
    SessionFacts,
)
from agents.ledger.upkeep import Upkeep
from agents.ledger.wire import Row, ending_row, recorded_row, start_row

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from datetime import datetime
    from typing import Any
    from uuid import UUID

    from agents.ledger.reservation import Reservation

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.25
STOP_SECONDS = 10.0


class Ledger:
    """Holds amounts before calls and books them afterwards; one for each process and event loop.

    dsn: where PostgreSQL is; Django's default database when None.
    """

    def __init__(self, dsn: str | None = None) -> None:
        conninfo = conninfo_of_django() if dsn is None else dsn
        self.owner = uuid4()
        self.upkeep = Upkeep(conninfo, self.owner)
        self.batcher = Batcher(conninfo, self.owner, bury=self.upkeep.bury)
        self._reader = Reader(conninfo)
        self._stored = StoredResponses(conninfo)
        self._tasks: list[asyncio.Task[None]] = []
        self._running: dict[UUID, tuple[Row, int]] = {}
        self._stopping = False

    async def start(self) -> None:
        """Begin to work; while PostgreSQL is away this keeps trying in the background."""
        self.batcher.poke()
        for work in (self.batcher.run(), self.upkeep.run(self.batcher), self._stored.run(), self._watch()):
            self._tasks.append(asyncio.create_task(self._for_ever(work)))

    async def stop(self, grace_seconds: float = STOP_SECONDS) -> None:
        """Take no new asks, write what waits as long as the grace allows, give the lease back."""
        self._stopping = True
        try:
            async with asyncio.timeout(grace_seconds):
                await self.drain()
                await self.upkeep.write_refusals()
                await self._stored.write()
                await self.upkeep.give_back_lease()
        except (psycopg.Error, OSError, TimeoutError) as error:
            logger.warning("The ledger stopped without PostgreSQL; what it still held will expire: %r", error)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for part in (self.batcher, self.upkeep, self._stored, self._reader):
            await part.close()

    async def drain(self) -> None:
        """Wait until every ask has its answer and every ending is in the book."""
        while sum(self.batcher.waiting_count):  # noqa: ASYNC110 (only at the end of a process and in tests)
            await asyncio.sleep(0.005)

    @property
    def ready(self) -> bool:
        """Whether calls can be admitted: connected, and not about to be overloaded."""
        asks, ends = self.batcher.waiting_count
        return self.batcher.is_connected and not self._stopping and asks < ASKS_MAX * 0.8 and ends < 2 * ASKS_MAX

    # Before a call

    async def reserve(self, ask: Ask, *, meanwhile: Callable[[], None] | None = None) -> Reservation:
        """Hold the ask's amount on all its budgets, or raise a LedgerError and hold nothing.

        meanwhile: called when the ask is on its way to PostgreSQL, whose answer takes longer than most work; not where
        memory can refuse.
        """
        fault("before_reserve")
        if self._stopping:
            raise LedgerAway
        start = start_row(ask.start)
        future = self.batcher.ask(ask, start)
        if meanwhile is not None:
            # Two turns of the loop: in the next one the flush leaves, where none is under way.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, meanwhile)
        try:
            reservation = await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.batcher.end(ask.call_id, ending_row(ask.call_id, "voided", CallEnd(reason="client_gone"), start))
            raise
        self._running[ask.call_id] = (start, ask.usd_pico)
        fault("after_reserve")
        return reservation

    # After a call

    def settle(self, call_id: UUID, end: CallEnd) -> asyncio.Future[str]:
        """End a call at its cost. The future may be ignored: the ending is sent until the database has it."""
        return self._end(call_id, "settled", end)

    def void(self, call_id: UUID, end: CallEnd) -> asyncio.Future[str]:
        """End a call that certainly was not billed, at nothing."""
        return self._end(call_id, "voided", end)

    def record_refusal(self, refusal: RefusalRow) -> None:
        """Book a refused call, some time soon."""
        self.upkeep.refusals.add(refusal, asyncio.get_running_loop().time())

    def note_degraded(self, since: datetime | None) -> None:
        """Let everybody see that this process's guards count alone, because Valkey is away; None: it is back."""
        self.upkeep.note_degraded(since)

    def record_cached(self, cached: CachedRow) -> None:
        """Book a call that the cache answered, some time soon."""
        self.upkeep.refusals.add(cached, asyncio.get_running_loop().time())

    async def remember(self, answer: StoredAnswer, *, seconds_max: float) -> bool:
        """Note an answer that its provider keeps; returns whether the note was written in time."""
        fault("before_remember")
        return await self._stored.remember(answer, seconds_max=seconds_max)

    # Questions

    async def is_current(
        self, call_id: UUID, *, organization_id: UUID, agent_id: UUID, organization_version: int, agent_version: int
    ) -> bool:
        """Whether a call that will hold nothing may pass: agent and organisation are as seen, and not paused."""
        return await self._reader.is_current(
            call_id, (organization_id, agent_id), (organization_version, agent_version)
        )

    async def balances_of(self, budgets: Sequence[tuple[int, str]], practice: bool = False) -> list[BudgetFacts]:
        """Return how budgets (pairs of id and subject) stand, an agent's own first."""
        return await self._reader.balances_of(budgets, practice=practice)

    async def session(
        self, organization_id: UUID, agent_id: UUID, session: str, practice: bool = False
    ) -> SessionFacts | None:
        """Return what one session of an agent did; None when it never called."""
        return await self._reader.session(organization_id, agent_id, session, practice=practice)

    async def reset_session(self, agent_id: UUID, session: str, practice: bool = False) -> int:
        """Let an agent's session begin anew on its budgets per session; returns how many did."""
        return await self._reader.reset_session(agent_id, session, practice=practice)

    async def record_usage(
        self, call_id: UUID, organization_id: UUID, agent_id: UUID, start: CallStart, end: CallEnd,
        budgets: Sequence[tuple[int, str]], versions: tuple[int, int], practice: bool = False,
    ) -> str:  # fmt: skip
        """Book a call that was made elsewhere, whatever the limits say; the same call again changes nothing.

        versions: of the policy that names the budgets, the organisation's first, then the agent's.
        Returns booked, same, conflict, running (an id of a call that runs here), other_day, too_many, or stale where
        the policy is not the present one.
        """
        row = recorded_row(call_id, organization_id, agent_id, start, end, practice=practice)
        return await self._reader.record_usage(row, budgets, versions, practice=practice)

    async def call_state(self, call_id: UUID, agent_id: UUID) -> CallState | None:
        """Return a call of that agent, running or ended; None when it has no such call."""
        return await self._reader.call_state(call_id, agent_id)

    async def stored_answers(
        self, response_ids: Sequence[str], organization_id: UUID, agent_id: UUID, *, practice: bool
    ) -> dict[str, StoredAnswer]:
        """Return those of the answers that a provider keeps which this agent made, by their ids."""
        return await self._reader.stored_answers(response_ids, organization_id, agent_id, practice=practice)

    async def forget_answer(self, answer: StoredAnswer) -> None:
        """Its provider keeps it no more."""
        await self._reader.forget_answer(answer)

    def _end(self, call_id: UUID, status: str, end: CallEnd) -> asyncio.Future[str]:
        fault("before_settle")
        start, held_pico = self._running.pop(call_id, ({}, USD_PICO_MAX))
        row = ending_row(call_id, status, end, start)
        if end.cost_pico < 0 or end.tokens < 0:
            # Nobody's bill is negative: charge what was held, and keep the odd numbers.
            logger.error("Call %s ended with negative amounts", call_id)
            row |= {"cost_pico": held_pico, "tokens": max(0, end.tokens), "basis": "worst_case"}
        elif end.cost_pico > held_pico:
            logger.error("Call %s overran its ceiling: %s > %s pico-dollars", call_id, end.cost_pico, held_pico)
        return self.batcher.end(call_id, row)

    async def _watch(self) -> None:
        while True:
            self.batcher.fail_overdue(asyncio.get_running_loop().time())
            await asyncio.sleep(WATCH_SECONDS)

    @staticmethod
    async def _for_ever(work: Coroutine[Any, Any, None]) -> None:
        """Log what ends a loop that must not end; without it calls would hang silently."""
        try:
            await work
        except Exception:
            logger.critical("A loop of the ledger ended", exc_info=True)
            raise
