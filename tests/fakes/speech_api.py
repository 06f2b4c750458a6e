"""OpenAI's side of the provider fake: speech, which comes in pieces and says nothing of its bill."""

import secrets
from typing import Any

import orjson

from tests.fakes.openai_api import error, headers
from tests.fakes.prices import Tokens, knows
from tests.fakes.script import Script

__all__ = ["Answer", "cap", "error", "headers", "messages_of", "problem", "read", "tokens", "usage"]

PIECE = b"\xff\xfb\x90\x00" + bytes(range(256)) + bytes(157)


def read(raw: bytes, content_type: str) -> dict[str, Any]:
    """The body; sound always comes in pieces."""
    return {**orjson.loads(raw), "stream": True}


def messages_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Where script words are: the text."""
    return [{"role": "user", "content": str(body.get("input", ""))}]


def problem(body: dict[str, Any]) -> int | None:
    """The status with which the real API would turn the request away."""
    if not body.get("input") or not body.get("voice"):
        return 400
    return None if knows(str(body.get("model"))) else 404


def cap(body: dict[str, Any]) -> int:
    """No tokens are written."""
    return 0


def tokens(body: dict[str, Any], script: Script, received_bytes: int) -> Tokens:
    """What the call uses: characters."""
    return Tokens(fresh=0, output=0, characters=len(body["input"]))


def usage(used: Tokens) -> dict[str, Any]:
    """For the bill alone."""
    return {"characters": used.characters}


class Answer:
    """One sound."""

    content_type = "audio/mpeg"

    def __init__(self, body: dict[str, Any], script: Script, used: Tokens, told: dict[str, Any] | None) -> None:
        self.id = "speech-" + secrets.token_hex(8)  # in the bill alone: the real API gives none
        self._pieces = int(script.get("chunks", 5))

    def events(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """The pieces of the sound."""
        return [], [PIECE] * self._pieces, []
