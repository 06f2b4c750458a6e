"""Server-sent events as bytes: whole lines out of chunks that are cut anywhere."""

import re
from collections.abc import Callable
from typing import Any

from proxy.providers.answers import object_in

# A line longer than this passes unread; its usage then counts as missing.
LINE_BYTES_MAX = 8 * 1024 * 1024


class Lines:
    """Gathers chunks until a line is whole. Constant work for each chunk, however long the line."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._overlong = False

    def feed(self, chunk: bytes) -> tuple[bytes, bytes]:
        """Take a chunk; give the end of an overlong line (to pass unread) and the lines that are now whole."""
        passed = b""
        if self._overlong:
            passed, newline, chunk = chunk.partition(b"\n")
            passed += newline
            self._overlong = not newline
        if not self._held and chunk.endswith(b"\n"):
            return passed, chunk
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            self._held += chunk
            return passed + self._give_up(), b""
        whole = bytes(self._held) + chunk[:cut] if self._held else chunk[:cut]
        self._held[:] = chunk[cut:]
        return passed, whole

    def rest(self) -> bytes:
        """The unfinished last line; it is forgotten."""
        held = bytes(self._held)
        self._held.clear()
        return held

    def _give_up(self) -> bytes:
        if len(self._held) <= LINE_BYTES_MAX:
            return b""
        self._overlong = True
        return self.rest()


class Watch:
    """Reads a stream that passes as it comes: the events of lines that hold a marker.

    markers: what no text of the answer can look like. take: is given each such event.
    """

    def __init__(self, markers: re.Pattern[bytes], take: Callable[[dict[str, Any]], None]) -> None:
        self._markers = markers
        self._take = take
        self._lines = Lines()

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes from the provider; the client may see all of them."""
        self._read(self._lines.feed(chunk)[1])
        return chunk

    def flush(self) -> bytes:
        """Read the unfinished last line; its bytes have passed."""
        self._read(self._lines.rest())
        return b""

    def _read(self, whole: bytes) -> None:
        if not self._markers.search(whole):
            return
        for line in whole.split(b"\n"):
            event = object_of(line) if self._markers.search(line) else None
            if event is not None:
                self._take(event)


def data_of(line: bytes) -> bytes | None:
    """The value of a `data:` line without its end, None for every other line (comments, names, blanks)."""
    if not line.startswith(b"data:"):
        return None
    return line[5:].strip(b" \r\n")


def object_of(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a `data:` line, None when there is none."""
    data = data_of(line)
    if not data or not data.startswith(b"{"):
        return None
    return object_in(data)


def is_blank(line: bytes) -> bool:
    """Whether the line ends an event."""
    return line in (b"\n", b"\r\n")
