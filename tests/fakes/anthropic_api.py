"""Anthropic's side of the provider fake: what messages, token counts and models look like on the wire."""

import secrets
from typing import Any

import orjson

from tests.fakes.openai_api import OUTPUT_DEFAULT
from tests.fakes.prices import TABLE, Tokens, knows
from tests.fakes.script import Script

ERRORS = {
    400: ("invalid_request_error", "max_tokens: Field required"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit."),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}


def headers() -> dict[str, str]:
    """What the real API adds to each answer."""
    return {
        "request-id": f"req_{secrets.token_hex(12)}",
        "anthropic-organization-id": "00000000-fake-secret",
        "anthropic-ratelimit-requests-limit": "4000",
        "anthropic-ratelimit-requests-remaining": "3999",
        "via": "1.1 google",
        "server": "cloudflare",
    }


def problem(body: dict[str, Any]) -> int | None:
    """The status with which the real API would turn the request away."""
    if not body.get("messages") or not body.get("model") or body.get("max_tokens") is None:
        return 400
    return None if knows(str(body["model"])) else 404


def error(status: int) -> bytes:
    """An error body."""
    kind, message = ERRORS.get(status, ("api_error", "An error occurred."))
    return orjson.dumps(
        {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{secrets.token_hex(12)}"}
    )


def cap(body: dict[str, Any]) -> int:
    """The request's own output bound."""
    return int(body["max_tokens"])


def tokens(body: dict[str, Any], script: Script, received_bytes: int) -> Tokens:
    """What the call uses; reads and writes come on top of the fresh input."""
    refused = bool(script.get("refusal"))
    output = 0 if refused else min(int(script.get("tokens_out", OUTPUT_DEFAULT)), cap(body))
    return Tokens(
        fresh=int(script.get("tokens_in", received_bytes // 4 + 8)),
        output=output,
        cached=int(script.get("cached", 0)),
        written=int(script.get("written", 0)),
        written_long=int(script.get("written_long", 0)),
        searches=_searches(body, script),
    )


def _searches(body: dict[str, Any], script: Script) -> int:
    """How often the web was searched: as the script says, but no more than the request allows."""
    allowed = [int(tool.get("max_uses", 10**6)) for tool in body.get("tools") or () if tool.get("name") == "web_search"]
    return min(int(script.get("searches", 0)), sum(allowed))


def usage(used: Tokens, body: dict[str, Any], script: Script) -> dict[str, Any]:
    """The usage object."""
    told = {
        "input_tokens": used.fresh,
        "cache_creation_input_tokens": used.written + used.written_long,
        "cache_read_input_tokens": used.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": used.written,
            "ephemeral_1h_input_tokens": used.written_long,
        },
        "output_tokens": used.output,
        "service_tier": script.get("tier", "standard"),
        "inference_geo": script.get("geo", body.get("inference_geo") or "not_available"),
    }
    if used.searches:
        told["server_tool_use"] = {"web_search_requests": used.searches, "web_fetch_requests": 0}
    speed = script.get("speed", body.get("speed"))
    return told | ({"speed": speed} if speed else {})


# The last report of a stream leaves these out.
_START_ONLY = frozenset({"cache_creation", "service_tier", "inference_geo", "speed"})


class Answer:
    """One answer, as a whole or in events."""

    def __init__(self, body: dict[str, Any], script: Script, used: Tokens, told: dict[str, Any] | None) -> None:
        self._script, self._told, self._used = script, told, used
        self._cut = used.output >= cap(body)
        self._word = str(script.get("text", "word"))
        self._pieces = 0 if script.get("refusal") else int(script.get("chunks", 5))
        self._calls = int(script.get("tool_calls", 0))
        self.id = f"msg_01{secrets.token_hex(11)}"
        self._message: dict[str, Any] = {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": script.get("model", body["model"]),
        }

    def whole(self) -> bytes:
        """The JSON object."""
        text = " ".join([self._word] * self._pieces)
        content: list[dict[str, Any]] = [{"type": "text", "text": text}] if self._pieces else []
        content += [self._tool() | {"input": {"at": 1}} for _ in range(self._calls)]
        end = {"stop_reason": self._stop(), "stop_sequence": None}
        told = {} if self._told is None else {"usage": self._told}
        return orjson.dumps({**self._message, "content": content, **end, **told})

    def events(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Events before the content, of the content, and after it."""
        message = {**self._message, "content": [], "stop_reason": None, "stop_sequence": None}
        if self._told is not None:
            message["usage"] = self._told | {"output_tokens": min(2, self._used.output)}
        first = [_event("message_start", message=message)]
        if self._pieces:
            first.append(_event("content_block_start", index=0, content_block={"type": "text", "text": ""}))
        first.append(_event("ping"))
        words = [self._word if at == 0 else f" {self._word}" for at in range(self._pieces)]
        content = [_event("content_block_delta", index=0, delta={"type": "text_delta", "text": word}) for word in words]
        after = [_event("content_block_stop", index=0)] if self._pieces else []
        for index in range(1, self._calls + 1):
            after.append(_event("content_block_start", index=index, content_block=self._tool() | {"input": {}}))
            delta = {"type": "input_json_delta", "partial_json": '{"at":1}'}
            after += [
                _event("content_block_delta", index=index, delta=delta),
                _event("content_block_stop", index=index),
            ]
        told = {} if self._told is None else {"usage": _delta_usage(self._told)}
        end = _event("message_delta", delta={"stop_reason": self._stop(), "stop_sequence": None}, **told)
        return first, content, [*after, end, _event("message_stop")]

    def error_event(self) -> bytes:
        """How the real API breaks a stream off."""
        return _event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    def _tool(self) -> dict[str, Any]:
        return {"type": "tool_use", "id": f"toolu_01{secrets.token_hex(11)}", "name": "look"}

    def _stop(self) -> str:
        if self._script.get("refusal"):
            return "refusal"
        if self._calls:
            return "tool_use"
        return "max_tokens" if self._cut else "end_turn"


def models() -> bytes:
    """The list of models."""
    data = [_model(name) for name in TABLE if name.startswith("claude")]
    return orjson.dumps({"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]})


def model(name: str) -> bytes | None:
    """One model."""
    return orjson.dumps(_model(name)) if knows(name) else None


def _model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}


def _delta_usage(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name not in _START_ONLY}


def _event(kind: str, **facts: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind, **facts}) + b"\n\n"
