"""Practice responses and counts of their input."""

from collections.abc import Iterator

import orjson

from proxy.providers.model_request import ModelRequest
from proxy.providers.parsing import JsonObject
from proxy.providers.sandbox.words import CREATED_AT, WORDS, Text, text_of
from proxy.providers.targets import Target

# What an answer repeats of its request.
_REPEATED: JsonObject = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


def chunks_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """The body of the answer, in the pieces of a stream or as one."""
    body: JsonObject = orjson.loads(sent)
    text = text_of(request, sent, body.get("max_output_tokens") or len(WORDS))
    # What it continues has been read as well.
    read = text.input_tokens + request.hidden.constant_tokens
    if not request.endpoint.priced:
        return [orjson.dumps({"object": "response.input_tokens", "input_tokens": read})]
    response = {
        "id": f"resp_{text.id}",
        "object": "response",
        "created_at": CREATED_AT,
        "status": "incomplete" if text.cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if text.cut else None,
        "model": target.model,
        "output": [_message(text, "".join(text.words), "incomplete" if text.cut else "completed")],
        "service_tier": "default",
        "usage": _usage(read, text.output_tokens),
        **{name: default if body.get(name) is None else body[name] for name, default in _REPEATED.items()},
    }
    if not request.stream:
        return [orjson.dumps(response)]
    return [_event(at, event) for at, event in enumerate(_events(response, text))]


def _events(response: JsonObject, text: Text) -> Iterator[JsonObject]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    [message] = response["output"]
    item: JsonObject = {"output_index": 0}
    place = {"item_id": message["id"], "output_index": 0, "content_index": 0}
    whole = message["content"][0]
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    yield {"type": "response.output_item.added", **item, "item": {**message, "status": "in_progress", "content": []}}
    yield {"type": "response.content_part.added", **place, "part": {**whole, "text": ""}}
    for word in text.words:
        yield {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": whole["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": whole}
    yield {"type": "response.output_item.done", **item, "item": message}
    yield {"type": f"response.{response['status']}", "response": response}


def _event(at: int, event: JsonObject) -> bytes:
    kind = str(event["type"])
    data = orjson.dumps({"type": kind, "sequence_number": at, **event})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _message(text: Text, content: str, status: str) -> JsonObject:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": content}
    return {"id": f"msg_{text.id}", "type": "message", "status": status, "content": [part], "role": "assistant"}


def _usage(read: int, written: int) -> JsonObject:
    return {
        "input_tokens": read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + written,
    }
