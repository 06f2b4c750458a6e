"""Practice messages and counts of their tokens."""

import orjson

from proxy.providers.model_request import ModelRequest
from proxy.providers.parsing import JsonObject
from proxy.providers.sandbox.words import Text, text_of
from proxy.providers.targets import Target


def chunks_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """The body of the answer, in the pieces of a stream or as one."""
    text = text_of(request, sent, request.output_cap or 0)
    if not request.endpoint.priced:
        return [orjson.dumps({"input_tokens": text.input_tokens})]
    stop = "max_tokens" if text.cut else "end_turn"
    usage = _usage(text, request)
    message = {
        "id": f"msg_{text.id}",
        "type": "message",
        "role": "assistant",
        "model": target.model,
        "content": [{"type": "text", "text": "".join(text.words)}],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }
    if not request.stream:
        return [orjson.dumps(message)]
    start = {
        **message,
        "content": [],
        "stop_reason": None,
        "usage": {**usage, "output_tokens": min(1, len(text.words))},
    }
    events: list[JsonObject] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in text.words
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": text.output_tokens},
        },
        {"type": "message_stop"},
    ]
    return [b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n" for event in events]


def _usage(text: Text, request: ModelRequest) -> JsonObject:
    return {
        "input_tokens": text.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": text.output_tokens,
        "service_tier": "standard",
        "inference_geo": request.geo,
    }
