"""The built-in provider of test keys: believable text, usage and streams, made here, at list price."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from proxy.errors import Dialect
from proxy.providers.shape import JsonObject, ModelRequest, Target

BYTES_PER_TOKEN = 4
TEXT = (
    "This is a practice answer from the sandbox. No provider was called and no money was spent, but the usage,"
    " the cost and the budget behave as they would with a live key. Change the key to awx_live_ when you are"
    " ready, and the same code talks to the real model."
)
WORDS = tuple(TEXT.split(" "))
CREATED_AT = 1_767_225_600  # a fixed moment: equal requests get equal answers


@dataclass(frozen=True, slots=True)
class SandboxAnswer:
    """What a provider would have sent; chunks are the body in the pieces of a stream, or one piece."""

    status: int
    headers: list[tuple[str, str]]
    chunks: list[bytes]


@dataclass(frozen=True, slots=True)
class _Text:
    id: str
    words: list[str]
    input_tokens: int
    output_tokens: int
    cut: bool


def answer(request: ModelRequest, target: Target, sent: bytes) -> SandboxAnswer:
    """Answer a request as its provider would. sent: the bytes that would have been forwarded."""
    content_type = "text/event-stream; charset=utf-8" if request.stream else "application/json"
    if request.endpoint.dialect is Dialect.ANTHROPIC:
        chunks = _anthropic(request, target, sent)
    else:
        chunks = _openai(request, target, sent)
    return SandboxAnswer(200, [("content-type", content_type)], chunks)


def _text(request: ModelRequest, sent: bytes, cap: int) -> _Text:
    """The answer to these bytes under an output bound; a word counts as one token."""
    digest = blake2b(sent, digest_size=12)
    words = WORDS[: max(0, cap)]
    return _Text(
        id=digest.hexdigest(),
        words=[word if at == 0 else f" {word}" for at, word in enumerate(words)],
        input_tokens=(len(sent) - request.hidden.media_bytes) // BYTES_PER_TOKEN + 1,
        output_tokens=len(words),
        cut=len(words) < len(WORDS),
    )


def _openai(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    body: JsonObject = orjson.loads(sent)
    text = _text(request, sent, body.get("max_completion_tokens") or body.get("max_tokens") or len(WORDS))
    usage = _openai_usage(text, request.choices)
    frame = {
        "id": f"chatcmpl-{text.id}",
        "created": CREATED_AT,
        "model": target.model,
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
    }
    if request.stream:
        return [b"data: " + _dumps(event) + b"\n\n" for event in _openai_events(request, frame, text, usage)] + [
            b"data: [DONE]\n\n"
        ]
    choices: list[JsonObject] = [
        {
            "index": index,
            "message": {"role": "assistant", "content": "".join(text.words), "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": _openai_finish(text),
        }
        for index in range(request.choices)
    ]
    return [_dumps({**frame, "object": "chat.completion", "choices": choices, "usage": usage})]


def _openai_events(request: ModelRequest, frame: JsonObject, text: _Text, usage: JsonObject) -> Iterator[JsonObject]:
    frame = {**frame, "object": "chat.completion.chunk"}
    for index in range(request.choices):
        deltas: list[tuple[JsonObject, str | None]] = [({"role": "assistant", "content": "", "refusal": None}, None)]
        deltas += [({"content": word}, None) for word in text.words]
        deltas.append(({}, _openai_finish(text)))
        for delta, reason in deltas:
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
            yield {**frame, "choices": [choice], "usage": None}
    yield {**frame, "choices": [], "usage": usage}


def _openai_finish(text: _Text) -> str:
    return "length" if text.cut else "stop"


def _openai_usage(text: _Text, choices: int) -> JsonObject:
    output = text.output_tokens * choices
    return {
        "prompt_tokens": text.input_tokens,
        "completion_tokens": output,
        "total_tokens": text.input_tokens + output,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _anthropic(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    text = _text(request, sent, request.output_cap or 0)
    if not request.endpoint.priced:
        return [_dumps({"input_tokens": text.input_tokens})]
    stop = "max_tokens" if text.cut else "end_turn"
    usage = _anthropic_usage(text, request)
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
        return [_dumps(message)]
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
    return [b"event: " + event["type"].encode() + b"\ndata: " + _dumps(event) + b"\n\n" for event in events]


def _anthropic_usage(text: _Text, request: ModelRequest) -> JsonObject:
    return {
        "input_tokens": text.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": text.output_tokens,
        "service_tier": "standard",
        "inference_geo": request.geo,
    }


def _dumps(value: Any) -> bytes:
    return orjson.dumps(value)
