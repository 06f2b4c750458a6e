"""Sends everything that arrived while the previous flush was under way as one flush: one round trip, one commit."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING

import psycopg

from agents.ledger import connection as connections
from agents.ledger.answers import give_answers
from agents.ledger.balances import OPEN, KnownBalances, Name, open_parameters
from agents.ledger.errors import BudgetRefused, LedgerAway, LedgerError, LedgerOverloaded, TooManySubjects
from agents.ledger.faults import fault
from agents.ledger.flush import flush_parameters
from agents.ledger.statement import Statements
from agents.ledger.waiting import WaitingAsk, WaitingEnd
from agents.ledger.wire import FLUSH, quoted, to_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from agents.ledger.groups import Group
    from agents.ledger.reservation import Reservation
    from agents.ledger.terms import Ask
    from agents.ledger.wire import Row

logger = logging.getLogger(__name__)

ASKS_MAX = 5_000  # waiting; beyond it callers hear "overloaded" at once
BATCH_MAX = 256
RESERVE_SECONDS = 5.0  # how long an ask may wait for its answer in all
ATTEMPTS_MAX = 5
RECONNECT_SECONDS = (0.02, 0.1, 0.25, 0.5, 1.0)


class Batcher:
    """The queue in front of one connection. Endings go first; they are never dropped, asks are bounded."""

    def __init__(self, conninfo: str, owner: UUID, *, bury: Callable[[WaitingAsk], None]) -> None:
        self.known = KnownBalances()
        self.is_connected = False
        self.connected_at = 0.0
        self.owner = str(owner)
        self._conninfo = conninfo
        self._bury = bury
        self._asks: deque[WaitingAsk] = deque()
        self._ends: deque[WaitingEnd] = deque()
        self._flying: list[WaitingAsk] = []
        self._flying_ends = 0
        self._work = asyncio.Event()
        self._connection: Statements | None = None
        self._failures = 0

    # What callers do

    def ask(self, ask: Ask, start: Row) -> asyncio.Future[Reservation]:
        """Queue an ask. Its answer is a reservation or a LedgerError."""
        if len(self._asks) >= ASKS_MAX:
            raise LedgerOverloaded
        loop = asyncio.get_running_loop()
        if not self.is_connected and self._failures > 1:
            raise LedgerAway
        group = self.known.group_of(ask)
        if group is not None:
            self._repeat_refusal(group, ask, loop.time())
        future: asyncio.Future[Reservation] = loop.create_future()
        self._asks.append(WaitingAsk(ask, start, quoted(to_json(start)), future, loop.time(), group))
        self._work.set()
        return future

    def end(self, call_id: UUID, row: Row) -> asyncio.Future[str]:
        """Queue an ending; the future tells its outcome once the database has it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        self._ends.append(WaitingEnd(call_id, row, future))
        # A turn later: whoever was woken in this one answers a client, who should not wait while a flush is made.
        loop.call_soon(self._work.set)
        return future

    @property
    def waiting_count(self) -> tuple[int, int]:
        """Asks and endings that have no answer yet."""
        return len(self._asks) + len(self._flying), len(self._ends) + self._flying_ends

    def fail_overdue(self, now: float) -> None:
        """Give up on asks that waited too long; if their hold comes to be after all, it is voided or buried."""
        for waiting in [*self._asks, *self._flying]:
            if now - waiting.asked_at > RESERVE_SECONDS and not waiting.future.done():
                waiting.future.set_exception(LedgerAway())

    def poke(self) -> None:
        """Connect again if the connection is gone, though nothing waits."""
        if self._connection is not None:
            self._connection.look()
        if not self.is_connected:
            self._work.set()

    @staticmethod
    def _repeat_refusal(group: Group, ask: Ask, now: float) -> None:
        """Refuse from memory while a budget is known to be full with nothing held (at most 250 ms)."""
        for balance in group.balances:
            if balance.full_until > now and balance.limit is not None:
                asked = balance.asked(ask)
                if balance.spent + asked > balance.limit:
                    raise BudgetRefused(balance.facts(balance.limit, balance.spent, 0), asked)

    # The loop

    async def run(self) -> None:
        """Flush until cancelled; the connection ends with it."""
        try:
            await self._run()
        finally:
            self._drop_connection()

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            ends, asks = self._take()
            if not ends and not asks:
                self._work.clear()
                if self.is_connected:
                    continue
            await self._deliver(ends, asks)
            # Those who were just answered ask again before the next flush leaves, else they split in two (rule 19).
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Close the connection; what is still queued stays queued."""
        self._drop_connection()

    def _take(self) -> tuple[list[WaitingEnd], list[WaitingAsk]]:
        ends: dict[UUID, WaitingEnd] = {}
        later: list[WaitingEnd] = []
        while self._ends and len(ends) < BATCH_MAX:
            end = self._ends.popleft()
            if ends.setdefault(end.call_id, end) is not end:
                later.append(end)  # The first ending of an id counts; the second meets it in the book.
        self._ends.extendleft(reversed(later))
        asks: dict[UUID, WaitingAsk] = {}
        again: list[WaitingAsk] = []
        while self._asks and len(asks) < BATCH_MAX:
            waiting = self._asks.popleft()
            if waiting.future.done():
                self._give_up(waiting)
            elif asks.setdefault(waiting.ask.call_id, waiting) is not waiting:
                again.append(waiting)
        self._asks.extendleft(reversed(again))
        return list(ends.values()), list(asks.values())

    def _give_up(self, waiting: WaitingAsk) -> None:
        """Nobody waits for this ask any more; if it may have landed, make sure that it cannot hold."""
        if waiting.sent:
            self._bury(waiting)

    async def _deliver(self, ends: list[WaitingEnd], asks: list[WaitingAsk]) -> None:
        self._flying, self._flying_ends = asks, len(ends)
        try:
            await self._send(ends, asks)
            self._failures = 0
        except (psycopg.Error, OSError, TimeoutError) as error:
            await self._recover(error, ends, asks)
        except Exception as error:
            # A row that cannot even be made ready must not end the one task that writes for all.
            logger.exception("A flush could not be made")
            await self._isolate(error, ends, asks)
        finally:
            self._flying, self._flying_ends = [], 0

    async def _send(self, ends: list[WaitingEnd], asks: list[WaitingAsk]) -> None:
        connection = await self._connected()
        asks = await self._with_balances(connection, asks)
        if not ends and not asks:
            return
        parameters, balances = flush_parameters(self.owner, ends, asks)
        for waiting in asks:
            waiting.sent = True
        answer = await connection.fetch(FLUSH, parameters)
        if asks:
            fault("after_reserve_sent")
        if ends:
            fault("after_settle_sent")
        again = give_answers(answer[0], self.known, balances, ends, asks, self.withdraw)
        self._asks.extendleft(reversed(again))  # They keep their place in the order of arrival.

    async def _with_balances(self, connection: Statements, asks: list[WaitingAsk]) -> list[WaitingAsk]:
        """Find each ask's group, opening the balances that are new to this process first."""
        names: dict[Name, None] = {}
        for waiting in asks:
            waiting.group = self.known.group_of(waiting.ask)
            if waiting.group is None:
                names.update(dict.fromkeys(self.known.missing(waiting.ask)))
        if names:
            wanted = sorted(names)
            self.known.learn(wanted, await connection.fetch(OPEN, open_parameters(wanted)))
            for waiting in asks:
                waiting.group = waiting.group or self.known.group_of(waiting.ask)
                if waiting.group is None and not waiting.future.done():
                    waiting.future.set_exception(TooManySubjects(self.known.missing(waiting.ask)[0][0]))
        return [waiting for waiting in asks if waiting.group is not None]

    async def _connected(self) -> Statements:
        if self._connection is None or self._connection.is_closed:
            self.is_connected = False
            connection = await connections.connect(self._conninfo, purpose="flush")
            self._connection = Statements(connection, self._lost)
            self.is_connected = True
            self.connected_at = asyncio.get_running_loop().time()
        return self._connection

    # When a flush fails

    async def _recover(self, error: Exception, ends: list[WaitingEnd], asks: list[WaitingAsk]) -> None:
        self._failures += 1
        if connections.is_away(error):
            logger.warning("The ledger lost PostgreSQL: %s", error)
            self._drop_connection()
            if connections.refuses_writes(error):
                self._turn_away(asks)
            self._requeue(ends, asks)
            await asyncio.sleep(RECONNECT_SECONDS[min(self._failures, len(RECONNECT_SECONDS)) - 1])
        elif connections.is_passing(error) and self._failures < ATTEMPTS_MAX:
            logger.info("The ledger repeats a flush: %s", error)
            self._requeue(ends, asks)
        else:
            await self._isolate(error, ends, asks)

    def _drop_connection(self) -> None:
        self.is_connected = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _lost(self) -> None:
        """The connection ended by itself; poke makes another, though nothing waits."""
        self.is_connected = False

    @staticmethod
    def _turn_away(asks: list[WaitingAsk]) -> None:
        """Tell callers at once that nothing can be held; only an earlier flush may have held it after all."""
        for waiting in asks:
            waiting.sent = waiting.attempts > 0
            if not waiting.future.done():
                waiting.future.set_exception(LedgerAway())

    def _requeue(self, ends: list[WaitingEnd], asks: list[WaitingAsk]) -> None:
        self._ends.extendleft(reversed(ends))
        for waiting in reversed(asks):
            if waiting.future.done():
                self._give_up(waiting)
            else:
                waiting.attempts += 1
                self._asks.appendleft(waiting)

    async def _isolate(self, error: Exception, ends: list[WaitingEnd], asks: list[WaitingAsk]) -> None:
        """Something in this batch cannot be written: send each alone, so that only the culprit suffers."""
        if len(ends) + len(asks) == 1:
            self._blame(error, ends, asks)
            return
        for end in ends:
            await self._deliver([end], [])
        for waiting in asks:
            await self._deliver([], [waiting])

    def _blame(self, error: Exception, ends: list[WaitingEnd], asks: list[WaitingAsk]) -> None:
        logger.error("The ledger could not write a row: %s", error)
        self._failures = 0
        for waiting in asks:
            if not waiting.future.done():
                waiting.future.set_exception(LedgerError(str(error)))
        for end in ends:
            end.attempts += 1
            if end.attempts == 1:
                # Amounts matter most: what describes the call is left out rather than the charge.
                kept = ("call_id", "status", "basis", "cost_pico", "tokens")
                end.row = {name: end.row[name] for name in kept if name in end.row} | {"reason": "unwritable"}
                self._ends.appendleft(end)
            elif not end.future.done():
                logger.critical("Call %s cannot be settled; it will expire at its ceiling", end.call_id)
                end.future.set_result("unwritable")

    def withdraw(self, waiting: WaitingAsk) -> None:
        """Void a hold that nobody waits for any more."""
        call_id = waiting.ask.call_id
        self.end(call_id, waiting.start | {"call_id": call_id, "status": "voided", "reason": "client_gone"})
