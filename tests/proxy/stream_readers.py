"""Many readers of streams whose events say when they were sent, in a process of their own.

    python -m tests.proxy.stream_readers '{"port": 8000, ...}'      (the fields of Reading)

Prints three lines of JSON, each as soon as it is known: how long it took until all streams had begun, how late the
events of the measured time were, and how each stream ended. Bounded in time by itself.
"""

import asyncio
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
import uvloop

from tests.bench.client import Target, request

STAMP = re.compile(rb'"content":" (\d+)@(\d+)"')
CALL_ID = re.compile(rb"(?i)x-awx-call-id: *(\S+)")
DONE = b"data: [DONE]"
LAST_CHUNK = b"\r\n0\r\n\r\n"
WHOLE, TOLD, BROKEN, SILENT, REFUSED = "whole", "told", "broken", "silent", "refused"


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read. event_counts: of every other stream and of the rest; per_second: so many are opened."""

    port: int
    path: str
    key: str
    streams: int
    per_second: float
    event_counts: tuple[int, int]
    interval_ms: int
    measured_seconds: float
    seconds_max: float


@dataclass(slots=True)
class Clock:
    """How late events come while somebody wants to know."""

    measures: bool = False
    late_ns: list[int] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """Milliseconds between sending and reading."""
        percentiles = statistics.quantiles(self.late_ns, n=100, method="inclusive")
        ours = {"p50_ms": percentiles[49], "p99_ms": percentiles[98], "max_ms": max(self.late_ns)}
        return {"events": len(self.late_ns)} | {name: value / 1e6 for name, value in ours.items()}


class Stream(asyncio.Protocol):
    """One call on a connection of its own.

    end: "whole"; "told" where an error event says that it was cut; "broken" where no client takes it for whole;
    "silent" where it ends as whole answers do without having said that it does; "refused" where it never began.
    """

    def __init__(self, sent: bytes, clock: Clock, begun: Callable[[], None], ended: Callable[[], None]) -> None:
        self.call_id = ""
        self.end = BROKEN
        self.ended_at = 0.0
        self.event_count = 0
        self.in_order = True
        self._sent, self._clock, self._begun, self._ended = sent, clock, begun, ended
        self._rest = b""
        self._head_seen = False
        self._last_words = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(self._sent)

    def data_received(self, data: bytes) -> None:
        """Read events as they come; parts of one wait for the others."""
        now_ns = time.monotonic_ns()
        data = self._rest + data
        if not self._head_seen:
            head, blank, data = data.partition(b"\r\n\r\n")
            if not blank:
                self._rest = head
                return
            self._read_head(head)
        *events, self._rest = data.split(b"\n\n")
        for piece in events:
            self._read_event(piece, now_ns)
        if self._rest.endswith(LAST_CHUNK) and self._transport is not None:
            self._judge()
            self._transport.close()

    def _read_head(self, head: bytes) -> None:
        self._head_seen = True
        found = CALL_ID.search(head)
        self.call_id = found[1].decode() if found else ""
        if head[9:12] != b"200" and self._transport is not None:
            self.end = REFUSED
            self._transport.close()

    def _read_event(self, piece: bytes, now_ns: int) -> None:
        self._last_words = piece
        stamp = STAMP.search(piece)
        if stamp is None:
            return
        self.in_order = self.in_order and int(stamp[1]) == self.event_count
        if not self.event_count:
            self._begun()
        self.event_count += 1
        if self._clock.measures:
            self._clock.late_ns.append(now_ns - int(stamp[2]))

    def _judge(self) -> None:
        """The body is complete: it must have said why."""
        said = self._last_words
        self.end = WHOLE if said.endswith(DONE) else TOLD if b'"error"' in said else SILENT

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self.ended_at = time.monotonic()
        if not self.event_count:
            self._begun()  # it never will
        self._ended()

    def facts(self) -> dict[str, Any]:
        """What became of it."""
        names = ("call_id", "end", "ended_at", "event_count", "in_order")
        return {name: getattr(self, name) for name in names}


async def read_all(reading: Reading) -> None:
    """Open the streams at a steady rate, measure for a while, read to their ends."""
    clock, all_begun, all_ended = Clock(), _Countdown(reading.streams), _Countdown(reading.streams)
    target = Target(reading.port, reading.path, reading.key)
    sent = [request(target, count, reading.interval_ms, 0, wants_usage=False) for count in reading.event_counts]
    loop, began_at, streams = asyncio.get_running_loop(), time.monotonic(), []
    for number in range(reading.streams):
        await asyncio.sleep(max(0.0, began_at + number / reading.per_second - time.monotonic()))
        stream = Stream(sent[number % 2], clock, all_begun.step, all_ended.step)
        await loop.create_connection(lambda stream=stream: stream, "127.0.0.1", reading.port)
        streams.append(stream)
    await all_begun.zero.wait()
    _say({"seconds": time.monotonic() - began_at})
    clock.measures = True
    await asyncio.sleep(reading.measured_seconds)
    clock.measures = False
    _say(clock.figures())
    await all_ended.zero.wait()
    _say({"streams": [stream.facts() for stream in streams]})


class _Countdown:
    """Sets an event after so many steps."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.zero = asyncio.Event()

    def step(self) -> None:
        self._left -= 1
        if not self._left:
            self.zero.set()


def _say(facts: dict[str, Any]) -> None:
    print(orjson.dumps(facts).decode(), flush=True)


async def main() -> None:
    """Read what the argument says."""
    reading = Reading(**orjson.loads(sys.argv[1]))
    async with asyncio.timeout(reading.seconds_max):
        await read_all(reading)


if __name__ == "__main__":
    uvloop.run(main())
