"""OpenAI's side of the provider fake: what images look like on the wire, and its own table of their tokens."""

import secrets
import time
from typing import Any

import orjson

from tests.fakes.forms import read
from tests.fakes.openai_api import error, headers
from tests.fakes.prices import Tokens, knows
from tests.fakes.script import Script

__all__ = ["Answer", "cap", "error", "headers", "messages_of", "problem", "read", "tokens", "usage"]

# Low, medium, high (guide of image generation).
TABLE = {"1024x1024": (272, 1056, 4160), "1024x1536": (408, 1584, 6240), "1536x1024": (400, 1568, 6208)}
QUALITY = {"low": 0, "medium": 1, "high": 2}
SHOWN_TOKENS, HIGH_FIDELITY_TOKENS = 194, 4_160
DOT = "iVBORw0KGgo="


def messages_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Where script words are: the prompt."""
    return [{"role": "user", "content": str(body.get("prompt", ""))}]


def problem(body: dict[str, Any]) -> int | None:
    """The status with which the real API would turn the request away."""
    if not body.get("prompt") or not body.get("model"):
        return 400
    return None if knows(str(body["model"])) else 404


def cap(body: dict[str, Any]) -> int:
    """The tokens of the images that are made; the model chooses the dearest where it may."""
    size, quality = body.get("size") or "auto", body.get("quality") or "auto"
    size = "1024x1536" if size == "auto" else size
    one = TABLE[size][2 if quality == "auto" else QUALITY[quality]] + 100 * int(body.get("partial_images") or 0)
    return one * int(body.get("n") or 1)


def tokens(body: dict[str, Any], script: Script, received_bytes: int) -> Tokens:
    """What the call uses."""
    shown = len(body.get("files", ())) + len(body.get("images", ()))
    fidelity = HIGH_FIDELITY_TOKENS if body.get("input_fidelity") == "high" else 0
    return Tokens(
        fresh=len(str(body["prompt"])) // 4 + 6 + 16 * shown,
        output=int(script.get("thinking", 0)),
        image_input=(SHOWN_TOKENS + fidelity) * shown,
        image_output=cap(body),
    )


def usage(used: Tokens) -> dict[str, Any]:
    """The usage object."""
    read_tokens, made = used.fresh + used.image_input, used.output + used.image_output
    return {
        "input_tokens": read_tokens,
        "input_tokens_details": {"text_tokens": used.fresh, "image_tokens": used.image_input},
        "output_tokens": made,
        "output_tokens_details": {"text_tokens": used.output, "image_tokens": used.image_output},
        "total_tokens": read_tokens + made,
    }


class Answer:
    """One answer, as a whole or in events."""

    def __init__(self, body: dict[str, Any], script: Script, used: Tokens, told: dict[str, Any] | None) -> None:
        self._body = body
        self._told = {} if told is None else {"usage": told}
        self.id = "img-" + secrets.token_hex(8)  # in the bill alone: the real API gives none
        self._kind = "image_edit" if body.get("files") or body.get("images") else "image_generation"

    def whole(self) -> bytes:
        """The JSON object."""
        data = [{"b64_json": DOT}] * int(self._body.get("n") or 1)
        return orjson.dumps({"created": int(time.time()), "data": data, **self._told})

    def events(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Events before the content (none), of the content, and after it."""
        count = int(self._body.get("partial_images") or 0)
        partial = [self._event("partial_image", {"partial_image_index": at}) for at in range(count)]
        return [], partial, [self._event("completed", self._told)]

    def error_event(self) -> bytes:
        """How the real API breaks a stream off."""
        return b"event: error\ndata: " + error(500) + b"\n\n"

    def _event(self, name: str, extra: dict[str, Any]) -> bytes:
        kind = f"{self._kind}.{name}"
        event = {"type": kind, "b64_json": DOT, "created_at": int(time.time()), "size": "1024x1024", **extra}
        return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"
