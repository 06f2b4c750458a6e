"""OpenAI's side of the provider fake: what embeddings look like on the wire."""

import base64
import secrets
import struct
from typing import Any

import orjson

from tests.fakes.openai_api import error, headers
from tests.fakes.prices import Tokens, knows
from tests.fakes.script import Script

__all__ = ["Answer", "cap", "error", "headers", "messages_of", "problem", "tokens", "usage"]

DIMENSIONS = 8


def messages_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Where script words are: the first text."""
    text = _items(body)[0]
    return [{"role": "user", "content": text if isinstance(text, str) else ""}]


def problem(body: dict[str, Any]) -> int | None:
    """The status with which the real API would turn the request away."""
    if not body.get("model") or not body.get("input"):
        return 400
    return None if knows(str(body["model"])) else 404


def cap(body: dict[str, Any]) -> int:
    """Nothing is written."""
    return 0


def tokens(body: dict[str, Any], script: Script, received_bytes: int) -> Tokens:
    """What the call uses: token ids are counted, of texts a quarter of their bytes."""
    read = sum(len(item.encode()) // 4 + 1 if isinstance(item, str) else len(item) for item in _items(body))
    return Tokens(fresh=int(script.get("tokens_in", read)), output=0)


def usage(used: Tokens) -> dict[str, Any]:
    """The usage object."""
    return {"prompt_tokens": used.total_input, "total_tokens": used.total_input}


class Answer:
    """One answer; never a stream."""

    def __init__(self, body: dict[str, Any], script: Script, used: Tokens, told: dict[str, Any] | None) -> None:
        self._body, self._told = body, told
        self.id = "emb-" + secrets.token_hex(8)  # in the bill alone: the real API gives none

    def whole(self) -> bytes:
        """The JSON object."""
        numbers = [0.5] * DIMENSIONS
        packed = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *numbers)).decode()
        vector = packed if self._body.get("encoding_format") == "base64" else numbers
        data = [{"object": "embedding", "index": at, "embedding": vector} for at, _ in enumerate(_items(self._body))]
        told = {} if self._told is None else {"usage": self._told}
        return orjson.dumps({"object": "list", "data": data, "model": self._body["model"], **told})


def _items(body: dict[str, Any]) -> list[Any]:
    value = body.get("input") or [""]
    return [value] if isinstance(value, str) or isinstance(value[0], int) else list(value)
