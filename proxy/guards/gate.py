"""The guards of one process: rates, pacing, loops, retries. Whoever uses none of them passes without a question."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from proxy.guards.clock import Clock
from proxy.guards.events import EventWriter
from proxy.guards.memory import Memory
from proxy.guards.stores import OwnStore, Store, StoreAway
from proxy.guards.terms import Answer, Ask
from proxy.guards.valkey import ANSWER_SECONDS, ValkeyStore

STOP_SECONDS = 1.0
WAITING_MAX = 1_000  # calls that wait for room in one process; further ones are refused instead


class Gate:
    """Made and stopped with the process; each call takes a turn.

    url: of Valkey; seconds: how long a call waits for it; tell: called when it goes away (since when) and comes back.
    """

    def __init__(
        self,
        url: str,
        *,
        tell: Callable[[datetime | None], None],
        seconds: float = ANSWER_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or Clock()
        self.events = EventWriter()
        self._waiting_count = 0
        self._shared = ValkeyStore(url, self._clock, seconds=seconds, tell=tell)
        self._own = OwnStore(self._clock)
        self._blocks: Memory[str, tuple[int, int, str]] = Memory()  # until, policy version, rule
        self._holds: Memory[tuple[str, str], int] = Memory()
        self._tasks: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None

    @property
    def degraded_since(self) -> datetime | None:
        """Since when this process counts alone because Valkey is away; None while it is there."""
        return self._shared.away_since

    def start(self) -> None:
        """Begin to watch Valkey; needs a running event loop."""
        self._watch = asyncio.create_task(self._shared.watch())

    async def stop(self) -> None:
        """Let what is under way end, within a second, and write the last events."""
        if self._watch is not None:
            self._watch.cancel()
        await self.settled(STOP_SECONDS)
        await self._shared.close()
        await asyncio.to_thread(self.events.close)

    async def settled(self, seconds_max: float) -> None:
        """Wait until the ends of calls are counted, so long at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds_max)

    async def take(self, ask: Ask) -> tuple[Store, Answer]:
        """Ask the counters, and say which of them were asked."""
        try:
            return self._shared, await self._shared.take(ask)
        except StoreAway:
            return self._own, await self._own.take(ask)

    @property
    def may_wait(self) -> bool:
        """Whether a call may wait for room, or too many do already."""
        return self._waiting_count < WAITING_MAX

    async def wait(self, ms: int) -> None:
        """Let a call wait for room; nothing is reserved meanwhile."""
        self._waiting_count += 1
        try:
            await self._clock.wait(ms)
        finally:
            self._waiting_count -= 1

    def behind(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that no call waits for and that no client's leaving stops; a store that is away is no matter."""
        task = asyncio.create_task(_unless_away(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # What this process knows without asking

    def block_of(self, agent: str, version: int) -> tuple[int, str] | None:
        """How many milliseconds a block that was seen here still holds, and its rule."""
        ends_ms, of_version, rule = self._blocks.get(agent) or (0, 0, "")
        left_ms = ends_ms - self._clock.now_ms()
        return (left_ms, rule) if left_ms > 0 and of_version == version else None

    def note_block(self, ask: Ask, answer: Answer) -> None:
        """Remember a block: a flush of Valkey does not end it here."""
        self._blocks.put(ask.agent, (self._clock.now_ms() + answer.wait_ms, ask.version, answer.rule))

    def held_ms(self, agent: str, provider: str) -> int:
        """How long a provider has asked an agent to wait, as far as this process knows."""
        return max(0, (self._holds.get((agent, provider)) or 0) - self._clock.now_ms())

    def hold(self, agent: str, provider: str, wait_ms: int) -> None:
        """A provider has asked an agent to wait."""
        if wait_ms > self.held_ms(agent, provider):
            self._holds.put((agent, provider), self._clock.now_ms() + wait_ms)

    @staticmethod
    def now() -> datetime:
        """The time that people are told."""
        return datetime.now(UTC)


async def _unless_away(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except StoreAway:
        return
