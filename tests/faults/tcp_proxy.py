"""Stands between the ledger and PostgreSQL and loses what a network may lose."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 65_536


class TcpProxy:
    """Forwards connections to PostgreSQL; `lose_answer` and `is_away` decide what gets lost.

    lose_answer: asked for each answer to the ledger's flush connection; True cuts the connection instead, after
    PostgreSQL has done the work.
    answers_pass: while it is clear, answers to the flush connection are held back; PostgreSQL has done the work.
    is_away: nobody gets through, and who is connected is cut off.
    """

    def __init__(self, conninfo: str) -> None:
        self.lose_answer: Callable[[], bool] = lambda: False
        self.lost_count = 0
        self.answers_pass = asyncio.Event()
        self.answers_pass.set()
        self._target = conninfo_to_dict(conninfo)
        self._away = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> str:
        """Listen and return the address that leads through here."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return make_conninfo(**(self._target | {"host": "127.0.0.1", "port": str(port)}))

    async def stop(self) -> None:
        """Cut everybody off and stop listening."""
        self.is_away = True
        if self._server is not None:
            self._server.close()

    @property
    def is_away(self) -> bool:
        return self._away

    @is_away.setter
    def is_away(self, away: bool) -> None:
        self._away = away
        if away:
            for writer in self._writers:
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if not self._away:
                await self._forward(reader, writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(
            str(self._target.get("host") or "127.0.0.1"), int(self._target.get("port") or 5432)
        )
        traits: set[str] = set()
        pipes = [
            asyncio.create_task(self._up(reader, server_writer, traits)),
            asyncio.create_task(self._down(server_reader, writer, traits)),
        ]
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pipe in pipes:
                pipe.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)
            server_writer.close()

    @staticmethod
    async def _up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, traits: set[str]) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                if b"shredder ledger flush" in data:
                    traits.add("flush")
                if b"ledger_flush" in data:
                    traits.add("working")
                writer.write(data)
                await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, traits: set[str]) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                if "working" in traits and self.lose_answer():
                    self.lost_count += 1
                    return
                if "working" in traits:
                    await self.answers_pass.wait()
                writer.write(data)
                await writer.drain()
