"""The way from the pump to the client: ordered bytes, bounded, and open at the pump's end when the client leaves."""

import asyncio

CHANNEL_BYTES_MAX = 256 * 1024


class Channel:
    """One writer (the pump) and one reader (the client's side).

    A full channel makes the writer wait, so back-pressure reaches the provider. After `abandon` nothing is kept and
    nobody waits: the pump goes on reading for the bill alone. broken: what came is not whole, and nothing in it says
    so.
    """

    def __init__(self, bytes_max: int = CHANNEL_BYTES_MAX) -> None:
        self.abandoned = False
        self.broken = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._bytes_max = bytes_max
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    async def put(self, piece: bytes) -> None:
        """Hand a piece over; waits while the client is behind."""
        if self.abandoned:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        _wake(self._reader)
        while self._size > self._bytes_max and not self.abandoned:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer

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


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
