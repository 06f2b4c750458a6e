"""Practice content in Gemini's form, counts of its tokens, and embeddings."""

from typing import Any

import orjson

from proxy.providers.gemini.fields import canonical
from proxy.providers.gemini.fields import listed as objects
from proxy.providers.model_request import JSON_ARRAY, ModelRequest
from proxy.providers.parsing import JsonObject
from proxy.providers.sandbox.words import WORDS, Text, text_of
from proxy.providers.targets import Target

DIMENSIONS = 768
DIMENSIONS_MAX = 3_072


def chunks_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """The body of the answer, in the pieces of a stream or as one."""
    config = canonical(canonical(orjson.loads(sent), "").get("generationConfig", {}), "")
    text = text_of(request, sent, config.get("maxOutputTokens") or len(WORDS))
    frame = {"modelVersion": target.model, "responseId": text.id}
    if not request.stream:
        whole = _candidates(request, "".join(text.words), finish=_finish(text))
        return [orjson.dumps({"candidates": whole, "usageMetadata": _usage(request, text, len(text.words)), **frame})]
    events = [
        orjson.dumps(
            {
                "candidates": _candidates(request, word, finish=_finish(text) if said == len(text.words) else None),
                "usageMetadata": _usage(request, text, said),
                **frame,
            }
        )
        for said, word in enumerate(text.words, 1)
    ]
    if request.stream_type == JSON_ARRAY:
        return [(b",\r\n" if at else b"[") + event for at, event in enumerate(events)] + [b"]"]
    return [b"data: " + event + b"\r\n\r\n" for event in events]


def count_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """A count of tokens."""
    return [orjson.dumps({"totalTokens": text_of(request, sent, 0).input_tokens})]


def embeddings_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """One embedding, or as many as were asked for."""
    text = text_of(request, sent, 0)
    fields = canonical(orjson.loads(sent), "")
    told = {"usageMetadata": {"promptTokenCount": text.input_tokens, "totalTokenCount": text.input_tokens}}
    if "requests" not in fields:
        return [orjson.dumps({"embedding": _embedding(fields, text), **told})]
    embeddings = [_embedding(one, text) for one in objects(fields["requests"], "requests")]
    return [orjson.dumps({"embeddings": embeddings, **told})]


def _embedding(asked: JsonObject, text: Text) -> JsonObject:
    wanted = asked.get("outputDimensionality")
    dimensions = min(wanted, DIMENSIONS_MAX) if isinstance(wanted, int) and wanted > 0 else DIMENSIONS
    seed = bytes.fromhex(text.id)
    return {"values": [seed[at % len(seed)] / 256 - 0.5 for at in range(dimensions)]}


def _candidates(request: ModelRequest, said: str, *, finish: str | None) -> list[dict[str, Any]]:
    content = {"parts": [{"text": said}], "role": "model"}
    ended = {"finishReason": finish} if finish else {}
    return [{"content": content, **ended, "index": index} for index in range(request.choices)]


def _finish(text: Text) -> str:
    return "MAX_TOKENS" if text.cut else "STOP"


def _usage(request: ModelRequest, text: Text, said: int) -> JsonObject:
    output = said * request.choices
    return {
        "promptTokenCount": text.input_tokens,
        "candidatesTokenCount": output,
        "totalTokenCount": text.input_tokens + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": text.input_tokens}],
    }
