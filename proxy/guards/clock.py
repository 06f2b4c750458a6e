"""The time by which this process counts; tests bring their own."""

import asyncio
import time


class Clock:
    """The process's own clock, which nobody sets back.

    told_ms: what Valkey is told instead of its own clock, by which all processes count alike; 0: nothing.
    """

    told_ms = 0

    def now_ms(self) -> int:
        """Milliseconds since a moment of its own."""
        return int(time.monotonic() * 1000)

    async def wait(self, ms: int) -> None:
        """Let the time pass."""
        await asyncio.sleep(ms / 1000)
