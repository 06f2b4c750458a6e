"""The Responses API's side of the provider fake: what answers look like on the wire, and those that it keeps."""

import secrets
import time
from collections.abc import Iterator
from typing import Any

import orjson

from tests.fakes import openai_api
from tests.fakes.prices import SNAPSHOTS, Tokens
from tests.fakes.script import Script

error, headers = openai_api.error, openai_api.headers

# What an answer repeats of its request, and what stands there when the request says nothing.
REPEATED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}
KEPT_MAX = 10_000
_kept: dict[str, tuple[dict[str, Any], list[dict[str, Any]], int]] = {}


def problem(body: dict[str, Any]) -> int | None:
    """The status with which the real API would turn the request away."""
    previous = body.get("previous_response_id")
    if not body.get("model") or (not body.get("input") and not previous):
        return 400
    if previous and previous not in _kept:
        return 400
    return openai_api.problem({"messages": ["there are"], "model": body["model"]})


def cap(body: dict[str, Any]) -> int:
    """The request's own output bound."""
    return int(body.get("max_output_tokens") or openai_api.CAP_UNBOUNDED)


def tokens(body: dict[str, Any], script: Script, received_bytes: int) -> Tokens:
    """What the call uses; what it continues is read again."""
    total_in = int(script.get("tokens_in", received_bytes // 4 + 8)) + _tokens_of_previous(body)
    cached, written = int(script.get("cached", 0)), int(script.get("written", 0))
    written_long = int(script.get("written_long", 0))
    output = min(int(script.get("tokens_out", openai_api.OUTPUT_DEFAULT)), cap(body))
    searches = min(int(script.get("searches", 0)), int(body.get("max_tool_calls") or 0))
    return Tokens(
        fresh=max(0, total_in - cached - written - written_long),
        output=output,
        cached=cached,
        written=written,
        written_long=written_long,
        reasoning=min(int(script.get("reasoning", 0)), output),
        searches=searches,
        previews=searches if _searches_by_preview(body) else 0,
    )


def _searches_by_preview(body: dict[str, Any]) -> bool:
    """Whether each search costs what it does on models that do not reason."""
    kinds = [tool["type"] for tool in body.get("tools") or ()]
    return "web_search_preview" in kinds and body["model"].startswith("gpt-4")


def usage(used: Tokens, body: dict[str, Any], script: Script) -> dict[str, Any]:
    """The usage object."""
    written = used.written + used.written_long
    split = {"ttl_30m_tokens": used.written, "ttl_12h_tokens": used.written_long}
    details = {"cached_tokens": used.cached, "cache_write_tokens": written}
    return {
        "input_tokens": used.total_input,
        "input_tokens_details": details | ({"cache_write_tokens_details": split} if written else {}),
        "output_tokens": used.output,
        "output_tokens_details": {"reasoning_tokens": used.reasoning},
        "total_tokens": used.total_input + used.output,
    }


class Answer:
    """One answer, as a whole or in events; kept from its beginning, unless the request says otherwise."""

    def __init__(self, body: dict[str, Any], script: Script, used: Tokens, told: dict[str, Any] | None) -> None:
        self.id = "resp_" + secrets.token_hex(24)
        self._script = script
        self._pieces = int(script.get("chunks", 5))
        self._word = str(script.get("text", "word"))
        # What a tool said comes back after the message that asked for it: once is enough.
        answered = any(item.get("type") == "function_call_output" for item in _items_of(body)[-1:])
        self._tool_calls = 0 if answered else int(script.get("tool_calls", 0))
        self._status = self._status_of(used, body)
        model = str(body["model"])
        self._response: dict[str, Any] = {
            "id": self.id,
            "object": "response",
            "created_at": int(time.time()),
            "status": self._status,
            "background": False,
            "error": {"code": "server_error", "message": "The model failed."} if self._status == "failed" else None,
            "incomplete_details": {"reason": "max_output_tokens"} if self._status == "incomplete" else None,
            "model": script.get("model", SNAPSHOTS.get(model, model)),
            "output": self._output(used),
            "service_tier": script.get("tier", body.get("service_tier") or "default"),
            **{name: default if body.get(name) is None else body[name] for name, default in REPEATED.items()},
            "usage": told,
            "user": body.get("user"),
        }
        if used.searches:
            images = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
            self._response["tool_usage"] = {"image_gen": images, "web_search": {"num_requests": used.searches}}
        if body.get("store") is not False and len(_kept) < KEPT_MAX:
            _kept[self.id] = self._response, _items_of(body), used.total_input + used.output

    def whole(self) -> bytes:
        """The JSON object."""
        return orjson.dumps(self._response)

    def events(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Events before the content, of the content, and after it."""
        begun = self._response | {"status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
        before = [
            {"type": f"response.{name}", "response": begun | {"error": None}} for name in ("created", "in_progress")
        ]
        content = [event for at, item in enumerate(self._response["output"]) for event in self._item_events(at, item)]
        after = [{"type": f"response.{self._status}", "response": self._response}]
        numbered = [_event(number, event) for number, event in enumerate([*before, *content, *after])]
        return numbered[:2], numbered[2:-1], numbered[-1:]

    def error_event(self) -> bytes:
        """How the real API breaks a stream off."""
        return _event(
            99, {"type": "error", "code": "server_error", "message": "The server had an error.", "param": None}
        )

    def _item_events(self, at: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        begun = item | {"status": "in_progress"}
        place = {"item_id": item["id"], "output_index": at}
        if item["type"] == "message":
            yield {"type": "response.output_item.added", "output_index": at, "item": begun | {"content": []}}
            yield from self._text_events(place | {"content_index": 0}, item["content"][0])
        elif item["type"] == "function_call":
            yield {"type": "response.output_item.added", "output_index": at, "item": begun | {"arguments": ""}}
            delta = {"delta": item["arguments"], "obfuscation": secrets.token_hex(secrets.randbelow(6))}
            yield {"type": "response.function_call_arguments.delta", **place, **delta}
            yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
        else:
            yield {"type": "response.output_item.added", "output_index": at, "item": begun}
        yield {"type": "response.output_item.done", "output_index": at, "item": item}

    def _text_events(self, place: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield {"type": "response.content_part.added", **place, "part": part | {"text": ""}}
        for at in range(self._pieces):
            delta = {"delta": self._word if at == 0 else f" {self._word}", "logprobs": []}
            padding = {"obfuscation": secrets.token_hex(secrets.randbelow(6))}
            yield {"type": "response.output_text.delta", **place, **delta, **padding}
        yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **place, "part": part}

    def _output(self, used: Tokens) -> list[dict[str, Any]]:
        searches = [
            _item("ws", "web_search_call", action={"type": "search", "query": "word", "queries": ["word"]})
            for _ in range(used.searches)
        ]
        thoughts = [_item("rs", "reasoning", summary=[]) for _ in range(int(self._script.get("thoughts", 0)))]
        calls = [
            _item("fc", "function_call", arguments='{"at":1}', call_id=f"call_{secrets.token_hex(12)}", name="look")
            for _ in range(self._tool_calls)
        ]
        text = " ".join([self._word] * self._pieces)
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
        message = [] if calls else [_item("msg", "message", content=[part], role="assistant")]
        return [*searches, *thoughts, *calls, *message]

    def _status_of(self, used: Tokens, body: dict[str, Any]) -> str:
        if self._script.get("failed"):
            return "failed"
        return "incomplete" if used.output >= cap(body) else "completed"


def kept(response_id: str, *, items: bool = False) -> bytes | None:
    """An answer that is kept, or the items of its input."""
    found = _kept.get(response_id)
    if found is None:
        return None
    response, inputs, _ = found
    if not items:
        return orjson.dumps(response)
    ends = {"first_id": inputs[0]["id"], "last_id": inputs[-1]["id"]} if inputs else {}
    return orjson.dumps({"object": "list", "data": inputs, **ends, "has_more": False})


def delete(response_id: str) -> bytes | None:
    """Forget an answer."""
    if _kept.pop(response_id, None) is None:
        return None
    return orjson.dumps({"id": response_id, "object": "response", "deleted": True})


def count(body: dict[str, Any], received_bytes: int) -> bytes:
    """The count of a request's input."""
    total = received_bytes // 4 + 8 + _tokens_of_previous(body)
    return orjson.dumps({"object": "response.input_tokens", "input_tokens": total})


def messages(body: dict[str, Any]) -> object:
    """What a client says, in the form in which scripts are looked for."""
    said = body.get("input")
    return [{"role": "user", "content": said}] if isinstance(said, str) else said


def _tokens_of_previous(body: dict[str, Any]) -> int:
    previous = _kept.get(str(body.get("previous_response_id")))
    return previous[2] if previous else 0


def _items_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    said = body.get("input") or []
    if isinstance(said, str):
        said = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": said}]}]
    return [{"id": f"msg_{secrets.token_hex(24)}", **item} for item in said]


def _item(prefix: str, kind: str, **facts: Any) -> dict[str, Any]:
    return {"id": f"{prefix}_{secrets.token_hex(24)}", "type": kind, "status": "completed", **facts}


def _event(number: int, event: dict[str, Any]) -> bytes:
    kind = event["type"]
    data = orjson.dumps({"type": kind, "sequence_number": number} | event)
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"
