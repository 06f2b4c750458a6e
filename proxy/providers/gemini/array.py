"""The elements of a JSON array out of chunks that are cut anywhere: Gemini's streams without alt=sse."""

import re

from proxy.providers.sse import LINE_BYTES_MAX

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_ELEMENT_DEPTH = 2  # the array itself is the first level


class Elements:
    """Gathers objects until they are whole. Linear in the bytes; an element over 8 MB passes unread."""

    def __init__(self) -> None:
        self.closed = False
        self._held = bytearray()
        self._depth = 0
        self._in_text = False
        self._escaped = False
        self._overlong = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk; give the elements that it completes."""
        whole: list[bytes] = []
        start = at = 0
        while (match := self._next(chunk, at)) is not None:
            at, mark = match.end(), match[0]
            if self._in_text:
                at = self._inside(mark, at, chunk)
            elif mark == b'"':
                self._in_text = True
            elif mark in b"{[":
                self._depth += 1
                start = match.start() if self._depth == _ELEMENT_DEPTH else start
            else:
                self._depth -= 1
                self.closed = self.closed or self._depth == 0
                if self._depth == _ELEMENT_DEPTH - 1:
                    whole += self._complete(chunk[start:at])
        if self._depth >= _ELEMENT_DEPTH:
            self._keep(chunk[start:])
        return whole

    def _next(self, chunk: bytes, at: int) -> re.Match[bytes] | None:
        if self._escaped and at < len(chunk):
            self._escaped, at = False, at + 1
        return (_INSIDE if self._in_text else _OUTSIDE).search(chunk, at)

    def _inside(self, mark: bytes, at: int, chunk: bytes) -> int:
        """Where to go on after a mark inside a text: behind what a backslash escapes."""
        if mark == b'"':
            self._in_text = False
        elif at < len(chunk):
            return at + 1
        else:
            self._escaped = True
        return at

    def _keep(self, part: bytes) -> None:
        if not self._overlong:
            self._held += part
        if len(self._held) > LINE_BYTES_MAX:
            self._overlong = True
            self._held.clear()

    def _complete(self, end: bytes) -> list[bytes]:
        self._keep(end)
        whole = [] if self._overlong else [bytes(self._held)]
        self._held.clear()
        self._overlong = False
        return whole
