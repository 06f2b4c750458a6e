"""OpenAI's side of the provider fake: what chat completions and models look like on the wire."""

import secrets
import time
from typing import Any

import orjson

from tests.fakes import counting
from tests.fakes.prices import SNAPSHOTS, TABLE, Tokens, knows
from tests.fakes.script import Script

OUTPUT_DEFAULT = 12
CAP_UNBOUNDED = 4_096
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

_INVALID, _SERVER = "invalid_request_error", "server_error"
ERRORS: dict[int, tuple[str, str, str | None]] = {
    400: ("Invalid request.", _INVALID, None),
    401: ("Incorrect API key provided: sk-fake****.", _INVALID, "invalid_api_key"),
    403: ("You are not allowed to sample from this model.", _INVALID, "model_not_allowed"),
    404: ("The model does not exist or you do not have access to it.", _INVALID, "model_not_found"),
    429: ("Rate limit reached for requests per min (RPM): Limit 500, Used 500.", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request. Sorry about that!", _SERVER, None),
    503: ("The engine is currently overloaded, please try again later.", _SERVER, None),
}


def headers() -> dict[str, str]:
    """What the real API adds to each answer."""
    return {
        "x-request-id": f"req_{secrets.token_hex(16)}",
        "openai-organization": "org-fake-secret",
        "openai-project": "proj_fake_secret",
        "openai-processing-ms": "7",
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "9999",
        "set-cookie": "__cf_bm=fake; path=/; domain=.openai.com",
        "server": "cloudflare",
    }


def problem(body: dict[str, Any]) -> int | None:
    """The status with which the real API would turn the request away."""
    if not body.get("messages") or not body.get("model"):
        return 400
    return None if knows(str(body["model"])) else 404


def error(status: int) -> bytes:
    """An error body."""
    message, kind, code = ERRORS.get(status, ("An error occurred.", "server_error", None))
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def cap(body: dict[str, Any]) -> int:
    """The request's own output bound for all choices."""
    one = body.get("max_completion_tokens") or body.get("max_tokens") or CAP_UNBOUNDED
    return int(one) * int(body.get("n") or 1)


def tokens(body: dict[str, Any], script: Script, received_bytes: int) -> Tokens:
    """What the call uses."""
    choices = int(body.get("n") or 1)
    total_in = int(script.get("tokens_in", received_bytes // 4 + 8))
    if script.get("count"):
        total_in = counting.input_tokens(body)
    cached, written = int(script.get("cached", 0)), int(script.get("written", 0))
    wanted = int(script.get("tokens_out", OUTPUT_DEFAULT)) * choices
    output = min(wanted, cap(body))
    return Tokens(
        fresh=max(0, total_in - cached - written),
        output=output,
        cached=cached,
        written=written,
        reasoning=min(int(script.get("reasoning", 0)), output),
    )


def usage(used: Tokens) -> dict[str, Any]:
    """The usage object."""
    return {
        "prompt_tokens": used.total_input,
        "completion_tokens": used.output,
        "total_tokens": used.total_input + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cached, "audio_tokens": 0}
        | ({"cache_write_tokens": used.written} if used.written else {}),
        "completion_tokens_details": {
            "reasoning_tokens": used.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class Answer:
    """One answer, as a whole or in events."""

    def __init__(self, body: dict[str, Any], script: Script, used: Tokens, told: dict[str, Any] | None) -> None:
        self._body, self._script, self._told = body, script, told
        self._choices = int(body.get("n") or 1)
        self._cut = used.output >= cap(body)
        model = str(body["model"])
        self.id = "chatcmpl-" + "".join(secrets.choice(_LETTERS) for _ in range(29))
        self._frame = {
            "id": self.id,
            "created": int(time.time()),
            "model": script.get("model", SNAPSHOTS.get(model, model)),
            "service_tier": script.get("tier", body.get("service_tier") or "default"),
            "system_fingerprint": "fp_" + secrets.token_hex(5),
        }
        self._word = str(script.get("text", "word"))
        self._pieces = int(script.get("chunks", 5))
        # What a tool said comes back after the message that asked for it: once is enough.
        answered = body["messages"][-1].get("role") == "tool"
        self._tool_calls = 0 if answered else int(script.get("tool_calls", 0))

    def whole(self) -> bytes:
        """The JSON object."""
        text = " ".join([self._word] * self._pieces)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
        calls = self._calls()
        if calls:
            message |= {"content": None, "tool_calls": calls}
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": self._finish()}
            for index in range(self._choices)
        ]
        told = {} if self._told is None else {"usage": self._told}
        return orjson.dumps({"object": "chat.completion", **self._frame, "choices": choices, **told})

    def events(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Events before the content, of the content, and after it."""
        role = {"role": "assistant", "content": "", "refusal": None}
        first = [self._chunk(index, role) for index in range(self._choices)]
        content = [
            self._chunk(index, {"content": self._word if at == 0 else f" {self._word}"})
            for at in range(self._pieces)
            for index in range(self._choices)
        ]
        for at, call in enumerate(self._calls()):
            named = {**call, "index": at, "function": {"name": call["function"]["name"], "arguments": ""}}
            content.append(self._chunk(0, {"tool_calls": [named]}))
            arguments = {"index": at, "function": {"arguments": call["function"]["arguments"]}}
            content.append(self._chunk(0, {"tool_calls": [arguments]}))
        last = [self._chunk(index, {}, self._finish()) for index in range(self._choices)]
        if self._asked_usage() and self._told is not None:
            last.append(self._event([], self._told))
        return first, content, [*last, b"data: [DONE]\n\n"]

    def error_event(self) -> bytes:
        """How the real API breaks a stream off."""
        return b"data: " + error(500) + b"\n\n"

    def _chunk(self, index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return self._event([{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}], None)

    def _event(self, choices: list[dict[str, Any]], told: dict[str, Any] | None) -> bytes:
        event = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self._frame["created"],
            "model": self._frame["model"],
            "service_tier": self._frame["service_tier"],
            "system_fingerprint": self._frame["system_fingerprint"],
            "choices": choices,
        }
        if self._asked_usage():
            event["usage"] = told
        if (self._body.get("stream_options") or {}).get("include_obfuscation", True):
            event["obfuscation"] = secrets.token_hex(secrets.randbelow(6))
        return b"data: " + orjson.dumps(event) + b"\n\n"

    def _asked_usage(self) -> bool:
        return bool((self._body.get("stream_options") or {}).get("include_usage"))

    def _calls(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"call_{secrets.token_hex(12)}",
                "type": "function",
                "function": {"name": "look", "arguments": '{"at":1}'},
            }
            for _ in range(self._tool_calls)
        ]

    def _finish(self) -> str:
        if self._tool_calls:
            return "tool_calls"
        return "length" if self._cut else "stop"


def models() -> bytes:
    """The list of models."""
    data = [_model(name) for name in TABLE if not name.startswith(("claude", "gemini"))]
    return orjson.dumps({"object": "list", "data": data})


def model(name: str) -> bytes | None:
    """One model."""
    return orjson.dumps(_model(name)) if knows(name) else None


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1715367049, "owned_by": "system"}
