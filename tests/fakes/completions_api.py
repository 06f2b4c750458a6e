"""OpenAI's side of the provider fake: what legacy completions look like on the wire."""

import secrets
import time
from typing import Any

import orjson

from tests.fakes import openai_api
from tests.fakes.openai_api import error, headers
from tests.fakes.prices import Tokens, knows
from tests.fakes.script import Script

__all__ = ["Answer", "cap", "error", "headers", "messages_of", "problem", "tokens", "usage"]

CAP_DEFAULT = 16
OUTPUT_DEFAULT = 12


def messages_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Where script words are: the prompt, or the first of many."""
    prompt = body.get("prompt")
    text = prompt[0] if isinstance(prompt, list) and prompt else prompt
    return [{"role": "user", "content": text if isinstance(text, str) else ""}]


def problem(body: dict[str, Any]) -> int | None:
    """The status with which the real API would turn the request away."""
    if not body.get("model") or (body.get("best_of") or 1) < (body.get("n") or 1):
        return 400
    return None if knows(str(body["model"])) else 404


def cap(body: dict[str, Any]) -> int:
    """The request's output bound for all that it makes."""
    one = CAP_DEFAULT if body.get("max_tokens") is None else int(body["max_tokens"])
    return one * _made(body)


def tokens(body: dict[str, Any], script: Script, received_bytes: int) -> Tokens:
    """What the call uses: every candidate is billed."""
    prompt = body.get("prompt")
    read = sum(map(_length, prompt)) if isinstance(prompt, list) else received_bytes // 4 + 8
    wanted = int(script.get("tokens_out", OUTPUT_DEFAULT)) * _made(body)
    return Tokens(fresh=int(script.get("tokens_in", read)), output=min(wanted, cap(body)))


def usage(used: Tokens) -> dict[str, Any]:
    """The usage object."""
    total = used.total_input + used.output
    return {"prompt_tokens": used.total_input, "completion_tokens": used.output, "total_tokens": total}


class Answer:
    """One answer, as a whole or in events."""

    def __init__(self, body: dict[str, Any], script: Script, used: Tokens, told: dict[str, Any] | None) -> None:
        self._body, self._script, self._told = body, script, told
        self.id = "cmpl-" + secrets.token_hex(14)
        self._frame = {
            "id": self.id, "object": "text_completion", "created": int(time.time()), "model": str(body["model"]),
        }  # fmt: skip
        self._shown = _prompts(body) * int(body.get("n") or 1)
        self._finish = "length" if used.output >= cap(body) else "stop"
        self._word, self._pieces = str(script.get("text", "word")), int(script.get("chunks", 5))

    def whole(self) -> bytes:
        """The JSON object."""
        text = " ".join([self._word] * self._pieces)
        choices = [self._choice(index, text, self._finish) for index in range(self._shown)]
        told = {} if self._told is None else {"usage": self._told}
        return orjson.dumps({**self._frame, "choices": choices, **told})

    def events(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Events before the content (none), of the content, and after it."""
        content = [
            self._event([self._choice(index, self._word, None)])
            for _ in range(self._pieces)
            for index in range(self._shown)
        ]
        last = [self._event([self._choice(index, "", self._finish)]) for index in range(self._shown)]
        if self._asked_usage() and self._told is not None:
            last.append(self._event([], self._told))
        return [], content, [*last, b"data: [DONE]\n\n"]

    def error_event(self) -> bytes:
        """How the real API breaks a stream off."""
        return b"data: " + openai_api.error(500) + b"\n\n"

    def _choice(self, index: int, text: str, finish: str | None) -> dict[str, Any]:
        return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}

    def _event(self, choices: list[dict[str, Any]], told: dict[str, Any] | None = None) -> bytes:
        usage = {"usage": told} if self._asked_usage() else {}
        return b"data: " + orjson.dumps({**self._frame, "choices": choices, **usage}) + b"\n\n"

    def _asked_usage(self) -> bool:
        return bool((self._body.get("stream_options") or {}).get("include_usage"))


def _prompts(body: dict[str, Any]) -> int:
    prompt = body.get("prompt")
    return len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1


def _made(body: dict[str, Any]) -> int:
    return _prompts(body) * max(int(body.get("n") or 1), int(body.get("best_of") or 1))


def _length(item: Any) -> int:
    return 1 if isinstance(item, int) else len(item)
