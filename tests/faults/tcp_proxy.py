"""Stands between two ends of a connection, usually the ledger and PostgreSQL, and does what a network may do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 65_536
STOP_SECONDS_MAX = 5
THREAD_SECONDS_MAX = 10


@dataclass(eq=False)
class _Link:
    """One connection through the proxy.

    is_marked: a request with the mark has passed, so that its answers may be lost; is_deaf: one end has vanished
    without a word, and what is still sent to it goes nowhere.
    """

    writer: asyncio.StreamWriter
    is_marked: bool = False
    is_deaf: bool = False


class TcpProxy:
    """Forwards connections; its attributes decide what goes wrong.

    delay_seconds: how long each piece of an answer is kept back.
    lose_answer: asked for each piece of an answer to a marked request; True cuts the connection instead, after the
    other side has done the work.
    answers_pass: while it is clear, answers to marked requests are held back; the other side has done the work.
    cut_at: so many bytes of the next marked answer pass, then the connection is cut (once).
    is_away: nobody gets through, and who is connected is cut off.
    is_silent: half-open connections. What is open now stays open for ever and carries nothing; so does what comes.
    """

    def __init__(self, conninfo: str, mark: bytes = b"ledger_flush") -> None:
        """conninfo: the other side, as libpq writes addresses ("host=… port=…"); mark: what a request must hold."""
        self.delay_seconds = 0.0
        self.lose_answer: Callable[[], bool] = lambda: False
        self.answers_pass = asyncio.Event()
        self.answers_pass.set()
        self.cut_at: int | None = None
        self.lost_count = 0
        self.port = 0
        self._target = conninfo_to_dict(conninfo)
        self._mark = mark
        self._away = False
        self._silent = False
        self._server: asyncio.Server | None = None
        self._links: set[_Link] = set()

    async def start(self) -> str:
        """Listen and return the address that leads through here."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return make_conninfo(**(self._target | {"host": "127.0.0.1", "port": str(self.port)}))

    async def stop(self) -> None:
        """Cut everybody off and stop listening; returns when PostgreSQL has been let go too."""
        self.is_away = True
        if self._server is not None:
            self._server.close()
            await asyncio.wait_for(self._server.wait_closed(), STOP_SECONDS_MAX)

    @property
    def is_away(self) -> bool:
        return self._away

    @is_away.setter
    def is_away(self, away: bool) -> None:
        self._away = away
        if away:
            for link in self._links:
                link.writer.close()

    def reset(self) -> None:
        """Cut everybody off with a reset, as a machine does that died and came back."""
        for link in self._links:
            line = link.writer.get_extra_info("socket")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            link.writer.transport.abort()

    @property
    def is_silent(self) -> bool:
        return self._silent

    @is_silent.setter
    def is_silent(self, silent: bool) -> None:
        self._silent = silent
        for link in self._links:
            link.is_deaf = link.is_deaf or silent

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer, is_deaf=self._silent)
        self._links.add(link)
        try:
            if not self._away:
                await self._forward(link, reader)
        finally:
            self._links.discard(link)
            writer.close()

    async def _forward(self, link: _Link, reader: asyncio.StreamReader) -> None:
        there, writer = await asyncio.open_connection(
            str(self._target.get("host") or "127.0.0.1"), int(self._target.get("port") or 5432)
        )
        pipes = [asyncio.create_task(self._up(link, reader, writer)), asyncio.create_task(self._down(link, there))]
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pipe in pipes:
                pipe.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)
            writer.close()

    async def _up(self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                link.is_marked = link.is_marked or self._mark in data
                if not link.is_deaf:
                    writer.write(data)
                    await writer.drain()

    async def _down(self, link: _Link, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                await asyncio.sleep(self.delay_seconds)
                if link.is_marked:
                    await self.answers_pass.wait()
                if link.is_deaf:
                    continue
                passing = self._passing(data) if link.is_marked else data
                link.writer.write(passing)
                await link.writer.drain()
                if len(passing) < len(data):
                    self.lost_count += 1
                    return

    def _passing(self, data: bytes) -> bytes:
        """What of a marked answer gets through."""
        if self.lose_answer():
            return b""
        if self.cut_at is None:
            return data
        passing = data[: self.cut_at]
        self.cut_at = None if len(passing) < len(data) else self.cut_at - len(data)
        return passing


class ProxyThread:
    """A TcpProxy that runs in a thread of its own, for tests without an event loop."""

    def __init__(self, proxy: TcpProxy) -> None:
        self.proxy = proxy
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def set(self, **values: Any) -> None:
        """Set attributes of the proxy, where it runs."""

        async def work() -> None:
            for name, value in values.items():
                setattr(self.proxy, name, value)

        self._run(work())

    def __enter__(self) -> ProxyThread:
        self._thread.start()
        self._run(self.proxy.start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self.proxy.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(THREAD_SECONDS_MAX)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(THREAD_SECONDS_MAX)


@contextlib.contextmanager
def proxied(conninfo: str, mark: bytes = b"ledger_flush") -> Iterator[ProxyThread]:
    """A running proxy for the length of a block."""
    with ProxyThread(TcpProxy(conninfo, mark)) as thread:
        yield thread
