"""What tests of the guards share: a clock that they set, and asks with only what matters to them."""

from dataclasses import replace
from uuid import uuid4

from proxy.guards.clock import Clock
from proxy.guards.terms import Ask

BEGAN_MS = 1_800_000_000_000  # at the beginning of a second


class SetClock(Clock):
    """A clock for this process and for Valkey that moves only when it is told."""

    def __init__(self, ms: int = BEGAN_MS) -> None:
        self.told_ms = ms
        self.waits_ms: list[int] = []

    def now_ms(self) -> int:
        return self.told_ms

    async def wait(self, ms: int) -> None:
        self.waits_ms.append(ms)
        self.told_ms += ms

    def pass_by(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0) -> None:
        self.told_ms += round(1000 * (seconds + 60 * minutes + 3600 * hours))


def an_ask(**wanted: object) -> Ask:
    """An ask of an agent of its own that wants nothing but what is said."""
    plain = Ask(agent=f"{uuid4()}:live", session="s", version=1, provider="openai", cool_down_ms=1_800_000)
    return replace(plain, **wanted)  # type: ignore[arg-type]
