"""Server-sent events as bytes: whole lines out of chunks that are cut anywhere."""

from typing import Any

import orjson

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
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def is_blank(line: bytes) -> bool:
    """Whether the line ends an event."""
    return line in (b"\n", b"\r\n")
