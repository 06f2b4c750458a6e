"""OpenAI's side of the provider fake: transcripts and translations, billed by the second."""

import io
import secrets
import wave
from typing import Any

import orjson

from tests.fakes.forms import read
from tests.fakes.openai_api import error, headers
from tests.fakes.prices import Tokens, knows
from tests.fakes.script import Script

__all__ = ["Answer", "cap", "error", "headers", "messages_of", "problem", "read", "tokens", "usage"]

PLAIN = ("text", "srt", "vtt")


def messages_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Where script words are: the prompt."""
    return [{"role": "user", "content": str(body.get("prompt", ""))}]


def problem(body: dict[str, Any]) -> int | None:
    """The status with which the real API would turn the request away."""
    if not body.get("files") or not body.get("model"):
        return 400
    return None if knows(str(body["model"])) else 404


def cap(body: dict[str, Any]) -> int:
    """No tokens are billed."""
    return 0


def tokens(body: dict[str, Any], script: Script, received_bytes: int) -> Tokens:
    """What the call uses: the seconds of its WAV file, each begun one whole."""
    with wave.open(io.BytesIO(body["files"][0][2])) as recording:
        seconds = -(-recording.getnframes() // recording.getframerate())
    return Tokens(fresh=0, output=0, seconds=int(script.get("seconds", seconds)))


def usage(used: Tokens) -> dict[str, Any]:
    """The usage object."""
    return {"seconds": used.seconds, "type": "duration"}


class Answer:
    """One transcript."""

    def __init__(self, body: dict[str, Any], script: Script, used: Tokens, told: dict[str, Any] | None) -> None:
        self.id = "transcript-" + secrets.token_hex(8)  # in the bill alone: the real API gives none
        self._form = body.get("response_format", "json")
        self._told = {} if told is None else {"usage": told}
        self._seconds = used.seconds
        self.content_type = "text/plain; charset=utf-8" if self._form in PLAIN else "application/json"
        if body.get("stream") == "true" and body["model"] != "whisper-1":
            self.content_type = "text/event-stream; charset=utf-8"

    def whole(self) -> bytes:
        """Plain text, or the JSON object."""
        if self._form in PLAIN:
            return b"word word word\n"
        verbose = {"language": "english", "duration": float(self._seconds), "segments": []}
        return orjson.dumps({"text": "word word", **(verbose if self._form == "verbose_json" else {}), **self._told})

    def events(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Events of the text, and the one that tells the bill."""
        if not self.content_type.startswith("text/event-stream"):
            return [], [self.whole()], []
        deltas = [self._event({"type": "transcript.text.delta", "delta": "word "}) for _ in range(3)]
        return [], deltas, [self._event({"type": "transcript.text.done", "text": "word word word", **self._told})]

    def error_event(self) -> bytes:
        """How the real API breaks a stream off."""
        return b"data: " + error(500) + b"\n\n"

    def _event(self, event: dict[str, Any]) -> bytes:
        return b"data: " + orjson.dumps(event) + b"\n\n"
