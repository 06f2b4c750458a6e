"""Practice embeddings: vectors of length one that are equal for equal texts."""

import struct
from base64 import b64encode
from hashlib import blake2b
from math import sqrt
from typing import Any

import orjson

from proxy.providers.model_request import ModelRequest
from proxy.providers.openai.embeddings import CALL_TOKENS_MAX, ITEM_TOKENS_MAX
from proxy.providers.parsing import JsonObject
from proxy.providers.sandbox.words import text_of
from proxy.providers.targets import Target

DIMENSIONS, DIMENSIONS_LARGE, DIMENSIONS_MAX = 1_536, 3_072, 4_096


def chunks_of(request: ModelRequest, target: Target, sent: bytes) -> list[bytes]:
    """The body of the answer, as one piece."""
    body: JsonObject = orjson.loads(sent)
    count = int(body.get("dimensions") or (DIMENSIONS_LARGE if target.model.endswith("large") else DIMENSIONS))
    count = min(count, DIMENSIONS_MAX)
    as_base64 = body.get("encoding_format") == "base64"
    items = _items(body["input"])
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(item, count, as_base64=as_base64)}
        for index, item in enumerate(items)
    ]
    tokens = min(text_of(request, sent, 0).input_tokens, ITEM_TOKENS_MAX * len(items), CALL_TOKENS_MAX)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return [orjson.dumps({"object": "list", "data": data, "model": target.model, "usage": usage})]


def _items(value: Any) -> list[Any]:
    """The texts of an input; the token ids of one text are one item."""
    return [value] if isinstance(value, str) or isinstance(value[0], int) else value


def _vector(item: Any, count: int, *, as_base64: bool) -> str | list[float]:
    """Each number is one over the root of their count, with a sign that follows from the text."""
    digest = blake2b(orjson.dumps(item)).digest()
    size = 1 / sqrt(count)
    signed = [size if digest[at % len(digest)] & 1 else -size for at in range(len(digest))]
    numbers = (signed * (count // len(signed) + 1))[:count]
    return b64encode(struct.pack(f"<{count}f", *numbers)).decode() if as_base64 else numbers
