"""Metering a message, whole or streamed. Nothing is hidden: every byte passes as it came."""

import re
from typing import Any

from agents.pricing import Circumstances, Usage
from proxy.providers import sse
from proxy.providers.answers import error_text, object_in, text_in
from proxy.providers.anthropic.usage import merge
from proxy.providers.metered import Basis, Metered
from proxy.providers.model_request import ModelRequest
from proxy.providers.parsing import JsonObject
from proxy.providers.usage import UsageUnreadable, read_usage

# Inside a JSON string every quote is escaped, so none of these can be text of the answer.
MARKERS = re.compile(rb'"type"\s*:\s*"(?:message_start|message_delta|message_stop|content_block_start|error)"')


class _Answer:
    """What the events of an answer have said so far."""

    def __init__(self, request: ModelRequest) -> None:
        self._request = request
        self._usage: JsonObject | None = None
        self._total = False
        self._blocks = 0
        self._tool_calls = 0
        self._message: JsonObject = {}
        self._stop_reason: str | None = None
        self._stopped = False
        self._error: str | None = None

    def take_message(self, message: JsonObject, *, total: bool) -> None:
        """A message object. total: its usage is the bill, not the beginning of one."""
        self._message = message
        self._total = total
        self._stopped = total
        self._take_end(message)
        if isinstance(message.get("usage"), dict):
            self._usage = message["usage"]
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            self._take_block(block)

    def take_event(self, event: JsonObject) -> None:
        """One event of a stream."""
        kind = event.get("type")
        if kind == "message_start" and isinstance(event.get("message"), dict):
            self.take_message(event["message"], total=False)
        elif kind == "content_block_start":
            self._take_block(event.get("content_block"))
        elif kind == "message_delta":
            self._take_end(event.get("delta"))
            if isinstance(event.get("usage"), dict):
                self._usage = merge(self._usage or {}, event["usage"])
                self._total = self._total or self._stop_reason is not None
        elif kind == "message_stop":
            self._stopped = True
        elif kind == "error":
            self._error = error_text(event.get("error"))

    def _take_block(self, block: Any) -> None:
        self._blocks += 1
        if isinstance(block, dict) and block.get("type") == "tool_use":
            self._tool_calls += 1

    def _take_end(self, facts: Any) -> None:
        reason = facts.get("stop_reason") if isinstance(facts, dict) else None
        self._stop_reason = reason if isinstance(reason, str) else self._stop_reason

    def metered(self) -> Metered:
        """All of it, with the usage read."""
        problem, reading = None, None
        try:
            if self._usage is not None:
                reading = read_usage("anthropic", "messages", self._usage, self._context())
        except UsageUnreadable as error:
            problem = str(error)
        usage, circumstances = reading or (None, Circumstances())
        basis = self._basis(usage)
        usage = None if basis is Basis.NONE else usage
        return Metered(
            usage=usage,
            circumstances=circumstances,
            basis=basis,
            served_model=text_in(self._message.get("model")),
            provider_id=text_in(self._message.get("id")),
            finish_reason=self._stop_reason,
            tool_call_count=self._tool_calls,
            finished=self._stopped,
            error=self._error,
            problem=problem or (None if basis is Basis.USAGE else "the answer ended before its usage"),
            raw_usage=self._usage if usage is None or usage.unknown_keys or basis is not Basis.USAGE else None,
        )

    def _basis(self, usage: Usage | None) -> Basis:
        if usage is not None and self._total:
            return Basis.USAGE
        # The input that a stream begins with lacks what hosted tools feed back.
        return Basis.NONE if usage is None or self._request.hosted_tools else Basis.INPUT_ONLY

    def _context(self) -> JsonObject:
        # A refusal before any output is not billed, although its usage shows tokens.
        refused = self._stop_reason == "refusal" and not self._blocks
        return {
            "any_1h_ttl": self._request.cache_ttl_long,
            "speed": self._request.speed,
            "geo": self._request.geo,
            "billed": not refused,
        }


class MessageMeter(sse.Watch):
    """Watches a streamed message."""

    def __init__(self, request: ModelRequest) -> None:
        self._answer = _Answer(request)
        super().__init__(MARKERS, self._answer.take_event)

    def finish(self) -> Metered:
        """What the stream said about itself."""
        return self._answer.metered()


def meter_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a message that came as one JSON object."""
    answer = _Answer(request)
    if (message := object_in(body)) is not None:
        answer.take_message(message, total=True)
    return answer.metered()
