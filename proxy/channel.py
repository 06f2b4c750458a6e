"""The way from the pump to the client: ordered bytes, bounded, and open at the pump's end when the client leaves."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from proxy.patience import Patience

CHANNEL_BYTES_MAX = 256 * 1024

type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Channel:
    """One writer (the pump) and one reader (the client's side).

    A full channel makes the writer wait, so back-pressure reaches the provider. After `abandon` nothing is kept and
    nobody waits: the pump goes on reading for the bill alone. broken: what came is not whole, and nothing in it says
    so. stalled: the client stopped reading.

    Once the reader has caught up and waits, the writer sends by itself: to wake another task for each event of a stream
    cost a quarter of what the event did.
    """

    def __init__(self, bytes_max: int = CHANNEL_BYTES_MAX) -> None:
        self.abandoned = False
        self.broken = False
        self.stalled = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._bytes_max = bytes_max
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._send: Send | None = None
        self._patience: Patience | None = None

    def connect(self, send: Send, *, seconds_max: float) -> None:
        """Let the writer send by itself while the reader waits.

        send: ASGI's, after the answer's head. seconds_max: how long a client may take to read; then it is abandoned.
        """
        self._send, self._patience = send, Patience(seconds_max)

    async def put(self, piece: bytes) -> None:
        """Hand a piece over; waits while the client is behind."""
        if self.abandoned:
            return
        if self._send is not None and self._reader is not None and not self._reader.done():
            await self.send(piece)
            return
        self._pieces.append(piece)
        self._size += len(piece)
        _wake(self._reader)
        while self._size > self._bytes_max and not self.abandoned:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer

    async def send(self, piece: bytes) -> None:
        """Send to the client, and abandon it where it does not read; after `connect`, by writer or reader."""
        assert self._send is not None, "connected"
        assert self._patience is not None, "connected"
        try:
            with self._patience:
                await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            self.stalled = True
            self.abandon()

    def end(self, last: bytes = b"") -> None:
        """No more pieces will come after this last one, which is handed over even when the channel is full."""
        if last and not self.abandoned:
            self._pieces.append(last)
            self._size += len(last)
        self._ended = True
        _wake(self._reader)

    def abandon(self) -> None:
        """The client left."""
        self.abandoned = True
        self._pieces.clear()
        self._size = 0
        _wake(self._writer)
        _wake(self._reader)

    async def get(self) -> bytes:
        """Everything that has arrived since, as one piece; empty at the end."""
        while not (self._pieces or self._ended or self.abandoned):
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        pieces, self._pieces, self._size = self._pieces, [], 0
        _wake(self._writer)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """The reader sends no more."""
        self._send = None
        if self._patience is not None:
            self._patience.close()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
