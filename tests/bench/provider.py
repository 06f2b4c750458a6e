"""A provider for the proxy's benchmarks: answers as OpenAI sends them, prepared once, at next to no cost.

    python -m tests.bench.provider        (prints its port)

A request whose body holds `bench:CHUNKS,INTERVAL_MS,DELAY_MS;` is answered with so many events, or with one JSON object
for 0 chunks.
"""

import asyncio
import re
from collections.abc import Callable
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
USAGE = (
    b'"usage":{"prompt_tokens":20,"completion_tokens":20,"total_tokens":40,"prompt_tokens_details":{"cached_tokens":0,'
    b'"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
    b'"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}'
)
WORD = FRAME + b'{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}'
STOP = FRAME + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}'


def event(data: bytes) -> bytes:
    """One event as one chunk of the body."""
    line = b"data: " + data + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(line), line)


END = event(STOP) + event(FRAME + b"]," + USAGE) + event(b"[DONE]") + b"0\r\n\r\n"
STEP = event(WORD)
ANSWER = (
    FRAME.replace(b".chunk", b"")
    + b'{"index":0,"message":{"role":"assistant","content":"Twenty words","refusal":null},"logprobs":null,'
    + b'"finish_reason":"stop"}],'
    + USAGE
)
WHOLE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req_0123456789abcdef\r\n"
    b"Content-Length: %d\r\n\r\n" % len(ANSWER)
) + ANSWER


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
        if found is None or not self.seen.endswith(b"}"):
            return
        chunks, interval_ms, delay_ms = map(int, found.groups())
        self.seen = b""
        if chunks:
            self._later(delay_ms / 1000, self._go_on, chunks, interval_ms / 1000, True)
        else:
            self._later(delay_ms / 1000, self._write, WHOLE)

    def _later(self, seconds: float, step: Callable[..., None], *arguments: object) -> None:
        loop = asyncio.get_running_loop()
        if seconds:
            loop.call_later(seconds, step, *arguments)
        else:
            step(*arguments)

    def _write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def _go_on(self, left: int, interval_seconds: float, is_first: bool) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        self._write((HEAD if is_first else b"") + (STEP if left else END))
        if left:
            self._later(interval_seconds, self._go_on, left - 1, interval_seconds, False)


async def main() -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
