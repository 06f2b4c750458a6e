"""Metering generated content, whole or streamed in either form. Nothing is hidden: every byte passes as it came."""

import re
from typing import Any

import orjson

from agents.pricing import Circumstances, Usage
from proxy.providers import sse
from proxy.providers.answers import error_text, object_in, text_in
from proxy.providers.gemini.array import Elements
from proxy.providers.metered import Basis, Metered
from proxy.providers.model_request import JSON_ARRAY, ModelRequest
from proxy.providers.parsing import JsonObject
from proxy.providers.usage import UsageUnreadable, read_usage

# Inside a JSON string every quote is escaped, so none of these can be text of the answer.
MARKERS = re.compile(rb'"(?:finishReason|promptFeedback|functionCall|error)"\s*:')
# How Google's answers name the tier that a request was served at.
_TIERS = {"ON_DEMAND": "default", "ON_DEMAND_FLEX": "flex", "ON_DEMAND_PRIORITY": "priority"}


class _Answer:
    """What the objects of an answer have said so far."""

    def __init__(self, request: ModelRequest) -> None:
        self._request = request
        self._usage: JsonObject | None = None
        self._model: str | None = None
        self._id: str | None = None
        self._reasons: dict[Any, str] = {}  # by candidate
        self._blocked: str | None = None
        self._tool_calls = 0
        self._error: str | None = None
        self.whole = False  # nothing can follow

    @property
    def began_to_end(self) -> bool:
        """Whether some candidate has ended or the prompt was blocked."""
        return bool(self._reasons or self._blocked)

    def take(self, event: JsonObject) -> None:
        """Note what one object says; each report of usage includes those before it."""
        self._model = text_in(event.get("modelVersion")) or self._model
        self._id = text_in(event.get("responseId")) or self._id
        if event.get("error"):
            self._error = error_text(event["error"])
        feedback = event.get("promptFeedback")
        if isinstance(feedback, dict):
            self._blocked = text_in(feedback.get("blockReason")) or self._blocked
        candidates, ended = event.get("candidates"), len(self._reasons)
        for candidate in candidates if isinstance(candidates, list) else ():
            if isinstance(candidate, dict):
                self._take_candidate(candidate)
        if isinstance(event.get("usageMetadata"), dict):
            self._usage = event["usageMetadata"]
        elif len(self._reasons) > ended:
            self._usage = None  # what was told before a candidate ended is not all of it

    def _take_candidate(self, candidate: JsonObject) -> None:
        if reason := text_in(candidate.get("finishReason")):
            self._reasons[str(candidate.get("index", 0))] = reason
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and part.get("functionCall"):
                self._tool_calls += 1

    def metered(self) -> Metered:
        """All of it, with the usage read."""
        problem, reading = None, None
        try:
            reading = self._reading()
        except UsageUnreadable as error:
            problem = str(error)
        usage, circumstances = reading or (None, Circumstances())
        return Metered(
            usage=usage,
            circumstances=circumstances,
            basis=Basis.NONE if usage is None else Basis.USAGE,
            served_model=self._model,
            provider_id=self._id,
            finish_reason=self._blocked or next(iter(self._reasons.values()), None),
            tool_call_count=self._tool_calls,
            finished=self._is_finished,
            error=self._error,
            problem=problem or (None if usage else "the answer ended before its usage"),
            raw_usage=self._usage if usage is None or usage.unknown_keys else None,
        )

    @property
    def _is_finished(self) -> bool:
        """Whether it ended as it must: every candidate, or those that there are in a stream that is whole."""
        if self._error is not None:
            return False
        return bool(self._blocked) or len(self._reasons) >= (1 if self.whole else self._request.choices)

    def _reading(self) -> tuple[Usage, Circumstances] | None:
        """The bill; None where a later report could be higher (metering.md 4.5, S3)."""
        if not self._is_finished:
            return None
        if self._usage is None:
            # A blocked prompt is billed only where its tokens are told (metering.md 1.3).
            return (Usage(), Circumstances()) if self._blocked and not self._reasons else None
        told = text_in(self._usage.get("serviceTier")) or _TIERS.get(str(self._usage.get("trafficType")))
        return read_usage("google", "generate_content", self._usage, {"tier": told or self._request.tier})


class ContentMeter:
    """Watches a streamed answer, of events or as a JSON array."""

    def __init__(self, request: ModelRequest) -> None:
        self._answer = _Answer(request)
        self._lines = sse.Lines()
        self._elements = Elements() if request.stream_type == JSON_ARRAY else None

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes from the provider; the client may see all of them."""
        if self._elements is not None:
            for element in self._elements.feed(chunk):
                self._watch(element)
        else:
            self._watch_lines(self._lines.feed(chunk)[1])
        return chunk

    def flush(self) -> bytes:
        """The stream ended by itself; read its unfinished last line, whose bytes have passed."""
        self._watch_lines(self._lines.rest())
        self._answer.whole = self._elements is None or self._elements.closed
        return b""

    def finish(self) -> Metered:
        """What the stream said about itself."""
        return self._answer.metered()

    def _watch_lines(self, whole: bytes) -> None:
        if not (self._answer.began_to_end or MARKERS.search(whole)):
            return
        for line in whole.split(b"\n"):
            self._watch(sse.data_of(line) or b"")

    def _watch(self, element: bytes) -> None:
        if self._answer.began_to_end or MARKERS.search(element):
            event = object_in(element)
            if event is not None:
                self._answer.take(event)


def meter_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter an answer that came whole: an object, or what would have been a stream."""
    answer = _Answer(request)
    answer.whole = True
    for event in _objects(body):
        answer.take(event)
    return answer.metered()


def _objects(body: bytes) -> list[JsonObject]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        events = [sse.object_of(line) for line in body.split(b"\n")]
        return [event for event in events if event is not None]
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
