"""A provider for the stream benchmark: events as OpenAI sends them, prepared once, at next to no cost.

    python -m tests.bench.stream_provider        (prints its port)

A request whose body holds `bench:CHUNKS,INTERVAL_MS,DELAY_MS;` is answered with so many events.
"""

import asyncio
import re
from typing import cast

import uvloop

PLAN = re.compile(rb"bench:(\d+),(\d+),(\d+);")
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
    b"x-request-id: req_0123456789abcdef\r\n\r\n"
)
FRAME = (
    b'{"id":"chatcmpl-Bench0123456789","object":"chat.completion.chunk","created":1764000000,'
    b'"model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_bench","choices":['
)
WORD = FRAME + b'{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}'
STOP = FRAME + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}'
USAGE = FRAME + b'],"usage":{"prompt_tokens":20,"completion_tokens":20,"total_tokens":40}}'


def event(data: bytes) -> bytes:
    """One event as one chunk of the body."""
    line = b"data: " + data + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(line), line)


END = event(STOP) + event(USAGE) + event(b"[DONE]") + b"0\r\n\r\n"
STEP = event(WORD)


class Provider(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def __init__(self) -> None:
        self.seen = b""
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer a request as soon as its plan is there, which is the last thing in it."""
        self.seen += data
        found = PLAN.search(self.seen)
        if found is None or not self.seen.rstrip().endswith(b"}"):
            return
        chunks, interval_ms, delay_ms = map(int, found.groups())
        self.seen = b""
        asyncio.get_running_loop().call_later(delay_ms / 1000, self._go_on, chunks, interval_ms / 1000, True)

    def _go_on(self, left: int, interval_seconds: float, is_first: bool) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.write((HEAD if is_first else b"") + (STEP if left else END))
        if left:
            asyncio.get_running_loop().call_later(interval_seconds, self._go_on, left - 1, interval_seconds, False)


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
