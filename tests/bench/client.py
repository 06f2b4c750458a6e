"""A client for the proxy's benchmarks: connections that stay open, as SDKs keep theirs, at next to no cost."""

import asyncio
import time
from dataclasses import dataclass
from typing import cast

STREAM_END = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask."""

    port: int
    path: str
    key: str


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds from the request to the answer's first bytes of content, and to its end."""

    first: float
    whole: float
    status: int


def request(
    target: Target, chunks: int, interval_ms: int, delay_ms: int, *, wants_usage: bool = True, pad: int = 0
) -> bytes:
    """A chat completion as bytes; the plan for the provider comes last. chunks: 0 for an answer in one piece."""
    options = b""
    if chunks:
        options = b',"stream":true' + (b',"stream_options":{"include_usage":true}' if wants_usage else b"")
    plan = b"bench:%d,%d,%d;" % (chunks, interval_ms, delay_ms)
    body = (
        b'{"model":"gpt-4o-mini","max_tokens":100' + options
        + b',"messages":[{"role":"user","content":"Say a word. ' + b"Please. " * (pad // 8) + plan + b'"}]}'
    )  # fmt: skip
    head = (
        f"POST {target.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {target.key}\r\n"
        f"Content-Type: application/json\r\nAccept: */*\r\nUser-Agent: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.WriteTransport | None = None
        self._seen = b""
        self._left: int | None = None  # of the content, where its length was told
        self._status = 0
        self._first = 0.0
        self._done: asyncio.Future[tuple[float, int]] | None = None
        self.opened: asyncio.Event | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self.transport = cast("asyncio.WriteTransport", transport)

    async def ask(self, sent: bytes, opened: asyncio.Event | None) -> Took:
        """Send and wait for the whole answer. opened: set as soon as content comes."""
        assert self.transport is not None
        self._seen, self._left, self._status, self._first, self.opened = b"", None, 0, 0.0, opened
        self._done = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        self.transport.write(sent)
        ended, status = await self._done
        return Took(self._first - began, ended - began, status)

    def data_received(self, data: bytes) -> None:
        """Find the head, the first content and the end."""
        if not self._status:
            data = self._after_head(self._seen + data)
        if not data:
            return
        if not self._first:
            self._first = time.perf_counter()
            if self.opened is not None:
                self.opened.set()
        if self._left is not None:
            self._left -= len(data)
            ended = self._left <= 0
        else:
            self._seen = (self._seen + data)[-len(STREAM_END) :]
            ended = self._seen == STREAM_END
        if ended and self._done is not None and not self._done.done():
            self._done.set_result((time.perf_counter(), self._status))

    def _after_head(self, data: bytes) -> bytes:
        head, blank, content = data.partition(b"\r\n\r\n")
        if not blank:
            self._seen = data
            return b""
        self._seen, self._status = b"", int(head[9:12])
        _, told, rest = head.lower().partition(b"content-length:")
        self._left = int(rest.split(b"\r\n")[0]) if told else None
        return content

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing of an answer that broke off may be taken for one."""
        if self._done is not None and not self._done.done():
            self._done.set_exception(error or ConnectionError("the answer broke off"))


class Client:
    """Opens connections as they are needed and keeps them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []

    async def ask(self, sent: bytes, opened: asyncio.Event | None = None, *, status: int = 200) -> Took:
        """Send a request and read its answer, which must have this status."""
        connection = await self._connection()
        took = await connection.ask(sent, opened)
        assert took.status == status, took
        self._idle.append(connection)
        return took

    async def _connection(self) -> _Connection:
        while self._idle:
            idle = self._idle.pop()
            if idle.transport is not None and not idle.transport.is_closing():
                return idle
        return (await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", self._port))[1]

    async def offer(self, sent: bytes, *, rate: float, seconds: float) -> list[Took]:
        """Send at a steady rate, whatever becomes of the calls before."""
        began, calls = time.perf_counter(), []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            calls.append(asyncio.create_task(self.ask(sent)))
        return await asyncio.gather(*calls)

    async def saturate(self, sent: bytes, *, at_once: int, seconds: float, status: int = 200) -> list[Took]:
        """So many callers, each of whom asks again as soon as it is answered."""
        ends_at, all_of_them = time.perf_counter() + seconds, []

        async def call() -> None:
            while time.perf_counter() < ends_at:
                all_of_them.append(await self.ask(sent, status=status))

        await asyncio.gather(*(call() for _ in range(at_once)))
        return all_of_them

    def close(self) -> None:
        """Close what is idle."""
        for connection in self._idle:
            if connection.transport is not None:
                connection.transport.close()
        self._idle.clear()
