"""Where counters live: in Valkey for all processes, in this process while Valkey is away."""

from typing import Protocol

from proxy.guards.clock import Clock
from proxy.guards.counters import AgentCounters
from proxy.guards.memory import Memory
from proxy.guards.terms import Answer, Ask, Ended


class StoreAway(Exception):
    """The store does not answer; nothing, or nothing that is known, was counted."""


class Store(Protocol):
    """Counters of agents; every method raises StoreAway."""

    async def take(self, ask: Ask) -> Answer:
        """Take a call's part of every counter, or of none."""
        ...

    async def give_back(self, ask: Ask, taken: Answer) -> None:
        """Undo a take, of a call that was refused after all."""
        ...

    async def end(self, ask: Ask, taken: Answer, ended: Ended) -> None:
        """A call that was taken has ended."""
        ...


class OwnStore:
    """The counters of this process: others count for themselves, so each lets the whole limit pass."""

    def __init__(self, clock: Clock) -> None:
        self._agents: Memory[str, AgentCounters] = Memory()
        self._clock = clock

    async def take(self, ask: Ask) -> Answer:
        """Take a call's part of every counter, or of none."""
        return self._agents.get_or_make(ask.agent, AgentCounters).take(ask, self._clock.now_ms())

    async def give_back(self, ask: Ask, taken: Answer) -> None:
        """Undo a take, of a call that was refused after all."""
        if counters := self._agents.get(ask.agent):
            counters.give_back(ask, taken, self._clock.now_ms())

    async def end(self, ask: Ask, taken: Answer, ended: Ended) -> None:
        """A call that was taken has ended."""
        if counters := self._agents.get(ask.agent):
            counters.end(ask, taken, ended, self._clock.now_ms())
