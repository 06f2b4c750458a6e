"""Practice completions."""

from collections.abc import Iterator

import orjson

from proxy.providers.model_request import ModelRequest
from proxy.providers.openai.chat_checks import CHOICES_MAX
from proxy.providers.parsing import JsonObject
from proxy.providers.sandbox.words import CREATED_AT, Text, text_of
from proxy.providers.targets import Target


def chunks_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """The body of the answer, in the pieces of a stream or as one; every candidate is billed."""
    body: JsonObject = orjson.loads(sent)
    text = text_of(request, sent, int(body.get("max_tokens") or 0))
    output = text.output_tokens * request.choices
    usage = {
        "prompt_tokens": text.input_tokens,
        "completion_tokens": output,
        "total_tokens": text.input_tokens + output,
    }
    frame: JsonObject = {"id": f"cmpl-{text.id}", "object": "text_completion", "created": CREATED_AT}
    frame["model"] = target.model
    best_of = max(int(body.get("n") or 1), int(body.get("best_of") or 1))
    shown = request.choices // best_of * int(body.get("n") or 1)
    if request.stream:
        events = [b"data: " + orjson.dumps(event) + b"\n\n" for event in _events(shown, frame, text, usage)]
        return [*events, b"data: [DONE]\n\n"]
    choices = [_choice(index, "".join(text.words), _finish(text)) for index in range(shown)]
    return [orjson.dumps({**frame, "choices": choices, "usage": usage})]


def _events(shown: int, frame: JsonObject, text: Text, usage: JsonObject) -> Iterator[JsonObject]:
    # Many answers come whole, or their words would be more than anybody wants to see.
    pieces = text.words if shown <= CHOICES_MAX else ["".join(text.words)]
    for index in range(shown):
        for word in pieces:
            yield {**frame, "choices": [_choice(index, word, None)], "usage": None}
        yield {**frame, "choices": [_choice(index, "", _finish(text))], "usage": None}
    yield {**frame, "choices": [], "usage": usage}


def _choice(index: int, text: str, finish_reason: str | None) -> JsonObject:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}


def _finish(text: Text) -> str:
    return "length" if text.cut else "stop"
