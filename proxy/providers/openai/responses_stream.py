"""Metering a response, whole or streamed. Nothing is hidden: every byte passes as it came."""

import re
from dataclasses import replace
from typing import Any

import orjson

from agents.pricing import Circumstances, Usage
from proxy.providers import sse
from proxy.providers.answers import error_text, object_in, text_in
from proxy.providers.counting import Counts
from proxy.providers.metered import Basis, Metered
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai.responses_checks import SEARCH, SEARCH_PREVIEW
from proxy.providers.parsing import JsonObject
from proxy.providers.usage import UsageUnreadable, read_usage

# Inside a JSON string every quote is escaped, so none of these can be text of the answer; but the answer repeats the
# request's own objects, so only the type of the event itself counts.
MARKERS = re.compile(rb'"type"\s*:\s*"(?:response\.(?:created|completed|incomplete|failed|output_item\.done)|error)"')
ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
CLIENT_CALLS = frozenset({"function_call", "custom_tool_call"})
# Work for which we have no price; no request that passed could ask for it.
UNPRICED_CALLS = frozenset({"code_interpreter_call", "image_generation_call", "mcp_call", "shell_call", "compaction"})
# What later calls may name by its id, and how many of them are noted of one answer.
KEPT_ITEMS = CLIENT_CALLS | {"message", "reasoning"}
KEPT_ITEMS_MAX = 64
# Around an item that is written out for the model again.
ITEM_TOKENS = 64
# Uses of tools that the answer sums up, and that are counted here.
_COUNTED_USES = frozenset({"tool_usage.web_search.num_requests", "tool_usage.file_search.num_requests"})
# Actions of a web search that are not billed as a search.
_FREE_ACTIONS = frozenset({"open_page", "find_in_page"})


class _Answer:
    """What the events of an answer have said so far."""

    def __init__(self, request: ModelRequest) -> None:
        self._request = request
        self._response: JsonObject = {}
        self._items: dict[Any, JsonObject] = {}
        self._ended = False
        self._error: str | None = None

    def take_event(self, event: JsonObject) -> None:
        """One event of a stream."""
        kind, response = text_in(event.get("type")), event.get("response")
        if kind == "error":
            self._error = error_text(event.get("error") or event)
        elif kind == "response.output_item.done":
            self._take_item(event.get("output_index"), event.get("item"))
        elif isinstance(response, dict) and (kind == "response.created" or kind in ENDS):
            self.take_response(response, is_end=kind in ENDS)

    def take_response(self, response: JsonObject, *, is_end: bool) -> None:
        """A response object. is_end: it is the answer, not its beginning."""
        self._response, self._ended = response, is_end
        output = response.get("output")
        for at, item in enumerate(output if isinstance(output, list) else ()):
            self._take_item(at, item)
        if is_end and (response.get("status") == "failed" or response.get("error")):
            self._error = error_text(response.get("error") or "the response failed")

    def _take_item(self, at: Any, item: Any) -> None:
        if isinstance(item, dict):
            self._items[at if isinstance(at, int) else str(at)] = item

    def metered(self, *, is_stream: bool) -> Metered:
        """All of it, with the usage read."""
        if not self._ended:
            return self._unfinished()
        problem, reading = None, None
        told = self._response.get("usage")
        try:
            if isinstance(told, dict):
                reading = read_usage(self._request.usage_of, "responses", told, self._context())
        except UsageUnreadable as error:
            problem = str(error)
        usage = self._with_unpriced(reading[0]) if reading else None
        return Metered(
            usage=usage,
            circumstances=reading[1] if reading else Circumstances(),
            basis=Basis.USAGE if usage is not None else Basis.NONE,
            served_model=text_in(self._response.get("model")),
            provider_id=text_in(self._response.get("id")),
            finish_reason=self._finish_reason(),
            tool_call_count=self._client_calls(),
            finished=not (is_stream and self._error is not None),
            error=self._error,
            problem=problem or (None if usage is not None else "the answer holds no usage"),
            raw_usage=told if isinstance(told, dict) and (usage is None or usage.unknown_keys) else None,
            kept_items=self._kept_items(usage) if usage is not None and self._request.keeps else (),
        )

    def _unfinished(self) -> Metered:
        """What is known of an answer before its end; asked often while a stream runs."""
        return Metered(
            served_model=text_in(self._response.get("model")),
            provider_id=text_in(self._response.get("id")),
            tool_call_count=self._client_calls(),
            error=self._error,
            problem="the answer ended before its usage",
        )

    def _kept_items(self, usage: Usage) -> tuple[tuple[str, int], ...]:
        """Each part with the tokens that it is at most: all that was written, or as many as it has bytes."""
        most = usage.total_output
        kept = []
        for item in self._items.values():
            kind, item_id = text_in(item.get("type")), text_in(item.get("id"))
            if item_id is not None and kind in KEPT_ITEMS:
                shown = most if kind == "reasoning" else len(orjson.dumps(item)) + ITEM_TOKENS
                kept.append((item_id, min(most, shown)))
        return tuple(kept[:KEPT_ITEMS_MAX])

    def _client_calls(self) -> int:
        return len([kind for kind in self._kinds() if text_in(kind) in CLIENT_CALLS])

    def _kinds(self) -> list[Any]:
        return [item.get("type") for item in self._items.values()]

    def _context(self) -> JsonObject:
        search = SEARCH_PREVIEW if SEARCH_PREVIEW in self._request.hosted_tools else SEARCH
        return {
            "tier": text_in(self._response.get("service_tier")) or self._request.tier,
            "any_12h_ttl": self._request.cache_ttl_long,
            "tool_calls": {search: self._searches(), "file_search": self._kinds().count("file_search_call")},
        }

    def _searches(self) -> Any:
        """Searches that are billed: as the answer sums them up, or else by its items."""
        told = _part(_part(self._response, "tool_usage"), "web_search").get("num_requests")
        if told is not None:
            return told
        searches = [item for item in self._items.values() if item.get("type") == "web_search_call"]
        return len([item for item in searches if text_in(_part(item, "action").get("type")) not in _FREE_ACTIONS])

    def _with_unpriced(self, usage: Usage) -> Usage:
        """What was used besides and has no price here counts as an unknown key: no less than the hold is charged."""
        kinds = self._kinds()
        names = sorted([f"output.{kind}" for kind in UNPRICED_CALLS if kind in kinds])
        told = Counts(_part(self._response, "tool_usage"), "tool_usage.").unknown_keys()
        names += [name for name in told if name not in _COUNTED_USES]
        return replace(usage, unknown_keys=(*usage.unknown_keys, *names)) if names else usage

    def _finish_reason(self) -> str | None:
        reason = _part(self._response, "incomplete_details").get("reason")
        return text_in(reason) or text_in(self._response.get("status"))


class ResponseMeter(sse.Watch):
    """Watches a streamed response."""

    def __init__(self, request: ModelRequest) -> None:
        self._answer = _Answer(request)
        super().__init__(MARKERS, self._answer.take_event)

    def finish(self) -> Metered:
        """What the stream said about itself."""
        return self._answer.metered(is_stream=True)


def meter_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a response that came as one JSON object."""
    answer = _Answer(request)
    if (response := object_in(body)) is not None:
        answer.take_response(response, is_end=True)
    return answer.metered(is_stream=False)


def _part(facts: JsonObject, name: str) -> JsonObject:
    value = facts.get(name)
    return value if isinstance(value, dict) else {}
