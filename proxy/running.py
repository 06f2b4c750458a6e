"""The calls that run in this process, so that a stop can cut them: from just before their admission to their end."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from uuid import UUID

from agents.callers import Caller
from agents.ledger import Stop
from proxy.errors import AgentPaused, KeyRevoked, Refusal
from proxy.errors.refusals import AGENTS_PAGE, ORGANIZATION_KEYS_PAGE

# Where another key is made, by what a stop cut.
_PAGES: Mapping[str, str] = MappingProxyType({"key": AGENTS_PAGE, "organization_key": ORGANIZATION_KEYS_PAGE})


class RunningCall:
    """One call, and the stop that met it, if any did."""

    def __init__(self, caller: Caller) -> None:
        self.organization_id = caller.organization_id
        self.agent_id = caller.agent_id
        self.key_id = caller.key_id
        self.organization_key_id = caller.organization_key_id
        self._agent_name = caller.agent_name
        self._stop: Stop | None = None
        self._pump: asyncio.Task[object] | None = None

    def begin(self) -> None:
        """The task that runs now is the call's pump: from here on a cut cancels it."""
        self._pump = asyncio.current_task()

    def cut(self, stop: Stop) -> None:
        """End the call; one whose pump has not begun is not forwarded. The first stop counts."""
        if self._stop is None:
            self._stop = stop
            if self._pump is not None:
                self._pump.cancel()

    @property
    def cut_reason(self) -> str:
        """Why it was cut, as the book says it; empty while it may go on."""
        if self._stop is None:
            return ""
        return "key_revoked" if self._stop.target in _PAGES else "agent_stopped"

    def refusal(self, hint: str = "") -> Refusal | None:
        """What the client of a call that was cut is told; None while it may go on."""
        if self._stop is None:
            return None
        if page := _PAGES.get(self._stop.target):
            return KeyRevoked(shown=self._stop.shown, page=page, hint=hint)
        return AgentPaused(agent=self._agent_name, hint=hint)


class Running:
    """All of them, by their ids."""

    def __init__(self) -> None:
        self._calls: dict[UUID, RunningCall] = {}

    @contextmanager
    def entered(self, call_id: UUID, caller: Caller) -> Iterator[None]:
        """Keep a call while it is being admitted, and beyond where that went well: then its pump leaves for it.

        A stop that is decided after the call's admission finds it here, whether or not its pump has begun.
        """
        self.enter(call_id, caller)
        try:
            yield
        except BaseException:
            self.leave(call_id)
            raise

    def enter(self, call_id: UUID, caller: Caller) -> RunningCall:
        """The call with this id, new where it was not known."""
        known = self._calls.get(call_id)
        if known is None:
            known = self._calls[call_id] = RunningCall(caller)
        return known

    def knows(self, call_id: UUID) -> bool:
        """Whether the call may have left for its provider, or is about to."""
        return call_id in self._calls

    def leave(self, call_id: UUID) -> None:
        """The call has ended."""
        self._calls.pop(call_id, None)

    def calls(self) -> list[RunningCall]:
        """Those that run now."""
        return list(self._calls.values())
