"""Metering a stream of named events, of which the last tells the bill. Every byte passes as it came."""

import re

from proxy.providers import sse
from proxy.providers.answers import error_text
from proxy.providers.metered import Metered
from proxy.providers.openai.objects import metered_of
from proxy.providers.parsing import JsonObject

# Inside a JSON string every quote is escaped, so neither can be part of an image or a text.
_MARKERS = re.compile(rb'"usage"\s*:|"type"\s*:\s*"error"|"error"\s*:\s*\{')


class EventMeter:
    """Watches a stream of images or of a transcript go by.

    kind: of usage.read_usage; last: the types of the event that ends the stream.
    """

    def __init__(self, kind: str, last: frozenset[str]) -> None:
        self._kind = kind
        self._last = last
        self._lines = sse.Lines()
        self._done: JsonObject | None = None
        self._error: str | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes from the provider; the client sees all of them."""
        _, whole = self._lines.feed(chunk)
        self._watch(whole)
        return chunk

    def flush(self) -> bytes:
        """Nothing is held back."""
        self._watch(self._lines.rest())
        return b""

    def finish(self) -> Metered:
        """What the stream said about itself."""
        return metered_of(self._kind, self._done, finished=self._done is not None, error=self._error)

    def _watch(self, whole: bytes) -> None:
        if not _MARKERS.search(whole):
            return
        for line in whole.split(b"\n"):
            event = sse.object_of(line) if _MARKERS.search(line) else None
            if event is None:
                continue
            if event.get("type") in self._last:
                self._done = event
            elif event.get("type") == "error" or event.get("error"):
                self._error = error_text(event.get("error") or event)
