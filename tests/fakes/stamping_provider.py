"""A provider whose every event says when it was sent, so that its reader knows how late it came.

    python -m tests.fakes.stamping_provider --port 0 --bill bill.jsonl      (prints "ready http://127.0.0.1:PORT")

Streams are planned as for tests/bench/provider.py. The n-th event's content is " n@T": T is the system's monotonic
clock in nanoseconds, the same in all processes. Each stream is billed once: what its usage says when it ends, the whole
output that was allowed when it is cut. The bill is written as tests/fakes/provider.py writes its own.
"""

import argparse
import asyncio
import itertools
import re
import time
from pathlib import Path
from typing import BinaryIO, cast

import orjson
import uvloop

from tests.bench.provider import END, HEAD, PLAN, WORD, event
from tests.fakes.prices import Tokens, cost_usd

MODEL = "gpt-4o-mini"
INPUT_TOKENS = OUTPUT_TOKENS = 20  # what END tells
OUTPUT_BOUND = re.compile(rb'"max_(?:completion_)?tokens":(\d+)')
STAMPED = WORD.replace(b" word", b" %d@%d")
NAMED_HEAD = HEAD.replace(b"req_0123456789abcdef", b"%b")

_numbers = itertools.count(1)


class StampingProvider(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self, bill: BinaryIO) -> None:
        self._bill_file = bill
        self._seen = b""
        self._transport: asyncio.WriteTransport | None = None
        self._running = ""  # the request that is being answered
        self._output_bound = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer a request as soon as its plan is there, and the rest of it."""
        self._seen += data
        plan, bound = PLAN.search(self._seen), OUTPUT_BOUND.search(self._seen)
        if plan is None or bound is None or not self._seen.endswith(b"}"):
            return
        count, interval_ms, _ = map(int, plan.groups())
        self._seen, self._output_bound = b"", int(bound[1])
        self._running = f"req_{next(_numbers):016d}"
        self._write(NAMED_HEAD % self._running.encode())
        self._go_on(0, count, interval_ms / 1000, asyncio.get_running_loop().time())

    def connection_lost(self, error: Exception | None) -> None:
        """A stream that is cut is billed for all that it might have written."""
        self._bill(self._output_bound)

    def _go_on(self, number: int, count: int, interval_seconds: float, began_at: float) -> None:
        """Send an event; the next one's time does not depend on how late this one was."""
        if not self._running:
            return
        if number == count:
            self._bill(OUTPUT_TOKENS)
            self._write(END)
            return
        self._write(event(STAMPED % (number, time.monotonic_ns())))
        due_at = began_at + (number + 1) * interval_seconds
        asyncio.get_running_loop().call_at(due_at, self._go_on, number + 1, count, interval_seconds, began_at)

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _bill(self, output_tokens: int) -> None:
        request_id, self._running = self._running, ""
        if request_id:
            cost = cost_usd(MODEL, Tokens(fresh=INPUT_TOKENS, output=output_tokens))
            line = {"id": request_id, "request_id": request_id, "model": MODEL, "cost_usd": format(cost, "f")}
            self._bill_file.write(orjson.dumps(line) + b"\n")
            self._bill_file.flush()


async def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="A provider for tests that stamps its events.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--bill", type=Path, required=True)
    options = parser.parse_args()
    with options.bill.open("ab") as bill:
        server = await asyncio.get_running_loop().create_server(
            lambda: StampingProvider(bill), "127.0.0.1", options.port, backlog=4096
        )
        print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
