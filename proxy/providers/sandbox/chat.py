"""Practice chat completions."""

from collections.abc import Iterator

import orjson

from proxy.providers.model_request import ModelRequest
from proxy.providers.parsing import JsonObject
from proxy.providers.sandbox.words import CREATED_AT, WORDS, Text, text_of
from proxy.providers.targets import Target


def chunks_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """The body of the answer, in the pieces of a stream or as one."""
    body: JsonObject = orjson.loads(sent)
    text = text_of(request, sent, body.get("max_completion_tokens") or body.get("max_tokens") or len(WORDS))
    usage = _usage(text, request.choices)
    frame = {
        "id": f"chatcmpl-{text.id}",
        "created": CREATED_AT,
        "model": target.model,
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
    }
    if request.stream:
        return [b"data: " + orjson.dumps(event) + b"\n\n" for event in _events(request, frame, text, usage)] + [
            b"data: [DONE]\n\n"
        ]
    choices: list[JsonObject] = [
        {
            "index": index,
            "message": {"role": "assistant", "content": "".join(text.words), "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": _finish(text),
        }
        for index in range(request.choices)
    ]
    return [orjson.dumps({**frame, "object": "chat.completion", "choices": choices, "usage": usage})]


def _events(request: ModelRequest, frame: JsonObject, text: Text, usage: JsonObject) -> Iterator[JsonObject]:
    frame = {**frame, "object": "chat.completion.chunk"}
    for index in range(request.choices):
        deltas: list[tuple[JsonObject, str | None]] = [({"role": "assistant", "content": "", "refusal": None}, None)]
        deltas += [({"content": word}, None) for word in text.words]
        deltas.append(({}, _finish(text)))
        for delta, reason in deltas:
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
            yield {**frame, "choices": [choice], "usage": None}
    yield {**frame, "choices": [], "usage": usage}


def _finish(text: Text) -> str:
    return "length" if text.cut else "stop"


def _usage(text: Text, choices: int) -> JsonObject:
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
