"""OpenAI's side of the provider fake: moderations, which are free."""

import secrets
from typing import Any

import orjson

from tests.fakes.openai_api import error, headers

__all__ = ["answer", "error", "headers"]


def answer(body: dict[str, Any]) -> bytes:
    """The JSON object."""
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    result = {"flagged": False, "categories": {"violence": False}, "category_scores": {"violence": 0.01}}
    named = {"id": "modr-" + secrets.token_hex(8), "model": body["model"]}
    return orjson.dumps({**named, "results": [result] * len(texts)})
