"""Metering a chat completion, whole or streamed, and hiding the usage a client did not ask for."""

import re
from typing import Any

from agents.pricing import Circumstances
from proxy.providers import sse
from proxy.providers.answers import error_text, object_in, text_in
from proxy.providers.metered import Basis, Metered
from proxy.providers.model_request import ModelRequest
from proxy.providers.parsing import JsonObject
from proxy.providers.usage import UsageUnreadable, ignored_cost, read_usage

# Inside a JSON string every quote is escaped, so none of these can be text of the answer. All of them begin with the
# quote, which is looked for much faster than a choice of beginnings; the last event is told by a string of its own.
_MARKERS = re.compile(rb'"(?:usage"\s*:\s*\{|finish_reason"\s*:\s*"|tool_calls"|function_call"\s*:\s*\{|error"\s*:)')
_DONE = b"[DONE]"
_NULL = b',"usage":null'
_USUAL_END = _NULL + b"}\n\n"
_NULL_ANYWHERE = re.compile(rb'\s*,\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,\s*')
# What may follow the null when it is a member of the outermost object.
_TAIL = re.compile(rb'(?:,"obfuscation":"[^"\\]*")?\}\s*')


class _Answer:
    """What the objects of an answer have said so far."""

    def __init__(self, request: ModelRequest) -> None:
        self._request = request
        self._is_last_report = False
        self._ended: set[str] = set()  # choices that have said why they ended
        self.usage: JsonObject | None = None
        self.model: str | None = None
        self.id: str | None = None
        self.tier: str | None = None
        self.finish_reason: str | None = None
        self.finished = False
        self.error: str | None = None
        self._tool_calls: set[tuple[Any, Any]] = set()

    def take(self, event: JsonObject) -> None:
        """Note what one object says; later objects overrule earlier ones."""
        self.model = text_in(event.get("model")) or self.model
        self.id = text_in(event.get("id")) or self.id
        self.tier = text_in(event.get("service_tier")) or self.tier
        usage = event.get("usage")
        groq = event.get("x_groq")
        if not isinstance(usage, dict) and isinstance(groq, dict):
            usage = groq.get("usage")
        if event.get("error"):
            self.error = error_text(event["error"])
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._take_choice(choice)
        if isinstance(usage, dict):
            self.usage = usage
            self._is_last_report = not choices or len(self._ended) >= self._request.choices

    def _take_choice(self, choice: JsonObject) -> None:
        if reason := text_in(choice.get("finish_reason")):
            self.finish_reason = reason
            self._ended.add(str(choice.get("index")))
        said = choice.get("delta") or choice.get("message")
        if not isinstance(said, dict):
            return
        calls = said.get("tool_calls")
        for at, call in enumerate(calls if isinstance(calls, list) else ()):
            index = call.get("index", at) if isinstance(call, dict) else at
            self._tool_calls.add((str(choice.get("index")), str(index)))
        if said.get("function_call"):
            self._tool_calls.add((str(choice.get("index")), "function"))

    @property
    def _is_bill(self) -> bool:
        """Whether no later report can be higher: some providers tell their usage so far in every chunk."""
        return self.finished or self._is_last_report

    def metered(self) -> Metered:
        """All of it, with the usage read; none before the last report of it (docs/providers.md)."""
        problem, reading = "", None
        usage_of = self._request.usage_of
        try:
            if self._is_bill and self.usage is not None:
                context = {
                    "tier": self.tier or self._request.tier, "any_12h_ttl": self._request.cache_ttl_long
                }  # fmt: skip
                reading = read_usage(usage_of, "chat", self.usage, context)
        except UsageUnreadable as error:
            problem = str(error)
        known = reading is not None and not reading[0].unknown_keys
        return Metered(
            usage=reading[0] if reading else None,
            circumstances=reading[1] if reading else Circumstances(),
            basis=Basis.USAGE if reading else Basis.NONE,
            served_model=self.model,
            provider_id=self.id,
            finish_reason=self.finish_reason,
            tool_call_count=len(self._tool_calls),
            finished=self.finished,
            error=self.error,
            problem=problem or (None if reading else "the answer holds no usage, or ended before the last of it"),
            raw_usage=None if known else self.usage,
            flags=ignored_cost(usage_of, self.usage or {}),
        )


class ChatMeter:
    """Watches a streamed chat completion. Bytes pass unchanged but for usage that was not asked for."""

    def __init__(self, request: ModelRequest) -> None:
        self._answer = _Answer(request)
        self._hiding = not request.wants_usage
        self._lines = sse.Lines()
        self._first = True
        self._drop_blank = False

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes from the provider, give those the client may see now."""
        passed, whole = self._lines.feed(chunk)
        if not whole:
            return passed if self._hiding else chunk
        self._watch(whole)
        return passed + self._visible(whole) if self._hiding else chunk

    def flush(self) -> bytes:
        """The unfinished last line of an ended stream."""
        last = self._lines.rest()
        if not last:
            return b""
        self._watch(last)
        return self._visible(last) if self._hiding else b""

    def finish(self) -> Metered:
        """What the stream said about itself."""
        return self._answer.metered()

    def _watch(self, whole: bytes) -> None:
        if not self._first and not _tells(whole):
            return
        for line in whole.split(b"\n"):
            if self._first or _tells(line):
                self._watch_line(line)

    def _watch_line(self, line: bytes) -> None:
        event = sse.object_of(line)
        if event is not None:
            self._first = False
            self._answer.take(event)
        elif sse.data_of(line) == _DONE:
            self._answer.finished = True

    def _visible(self, whole: bytes) -> bytes:
        if not self._drop_blank:
            mentions = whole.count(b'"usage"')
            if not mentions:
                return whole
            if mentions == 1 and whole.endswith(_USUAL_END) and whole.startswith(b"data:"):
                return whole[: -len(_USUAL_END)] + b"}\n\n"
        return b"".join(map(self._visible_line, whole.splitlines(keepends=True)))

    def _visible_line(self, line: bytes) -> bytes:
        if self._drop_blank:
            self._drop_blank = False
            if sse.is_blank(line):
                return b""
        if b'"usage"' not in line or not line.startswith(b"data:"):
            return line
        shorter = _without_last_null(line)
        return self._visible_event(line) if shorter is None else shorter

    def _visible_event(self, line: bytes) -> bytes:
        """The slow way, for a line that holds the word usage somewhere: read it."""
        event = sse.object_of(line)
        if event is None or "usage" not in event:
            return line
        if event["usage"] is None:
            return _cut_null(line, {name: value for name, value in event.items() if name != "usage"})
        # A chunk that exists only because we asked goes with the blank line after it. Providers that send
        # usage unasked do so beside choices, and Azure's first chunk has no choices and no usage.
        self._drop_blank = event.get("choices") == [] and isinstance(event["usage"], dict)
        return b"" if self._drop_blank else line


def meter_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a chat completion that came as one JSON object."""
    answer = _Answer(request)
    if (event := object_in(body)) is not None:
        answer.take(event)
        answer.finished = True
    return answer.metered()


def _tells(data: bytes) -> bool:
    """Whether these bytes may hold something about the answer beside its text."""
    return _DONE in data or _MARKERS.search(data) is not None


def _without_last_null(line: bytes) -> bytes | None:
    """The line as if usage had not been asked for, when the null stands where it nearly always does."""
    at = line.rfind(_NULL)
    if at < 0 or not _TAIL.fullmatch(line, at + len(_NULL)):
        return None
    return line[:at] + line[at + len(_NULL) :]


def _cut_null(line: bytes, wanted: JsonObject) -> bytes:
    """Cut the one null that makes the line say what is wanted; another `usage` may stand deeper inside."""
    for match in _NULL_ANYWHERE.finditer(line):
        shorter = line[: match.start()] + line[match.end() :]
        if sse.object_of(shorter) == wanted:
            return shorter
    return line
