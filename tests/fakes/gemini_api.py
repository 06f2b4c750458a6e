"""Gemini's side of the provider fake: what generated content, counts and embeddings look like on the wire."""

import secrets
from typing import Any

import orjson

from tests.fakes.openai_api import CAP_UNBOUNDED, OUTPUT_DEFAULT
from tests.fakes.prices import TABLE, Tokens, knows
from tests.fakes.script import Script

KEY_INVALID = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
}
ERRORS = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "models/x is not found for API version v1beta."),
    429: ("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
    500: ("INTERNAL", "An internal error has occurred."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
}
ARRAY = "application/json; charset=UTF-8"


def headers() -> dict[str, str]:
    """What the real API adds to each answer."""
    return {
        "x-gemini-service-tier": "standard",
        "server-timing": "gfet4t7; dur=7",
        "server": "scaffolding on HTTPServer2",
        "x-goog-fake-project": "secret",
    }


def problem(body: dict[str, Any]) -> int | None:
    """The status with which the real API would turn the request away."""
    if not (body.get("contents") or body.get("content") or body.get("requests")):
        return 400
    return None if knows(str(body["model"])) else 404


def error(status: int) -> bytes:
    """An error body; one about the key comes as a 400 with its reason."""
    if status == 401:
        facts = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": [KEY_INVALID]}
        return orjson.dumps({"error": facts})
    name, message = ERRORS.get(status, ("UNKNOWN", "An error occurred."))
    return orjson.dumps({"error": {"code": status, "message": message, "status": name}})


def _config(body: dict[str, Any]) -> dict[str, Any]:
    return body.get("generationConfig") or body.get("generation_config") or {}


def cap(body: dict[str, Any]) -> int:
    """The request's own output bound for all candidates."""
    config = _config(body)
    one = config.get("maxOutputTokens") or config.get("max_output_tokens") or CAP_UNBOUNDED
    return int(one) * int(config.get("candidateCount") or 1) if body.get("contents") else 0


def tokens(body: dict[str, Any], script: Script, received_bytes: int) -> Tokens:
    """What the call uses; thinking is a part of the output."""
    total_in, cached = int(script.get("tokens_in", received_bytes // 4 + 8)), int(script.get("cached", 0))
    candidates = int(_config(body).get("candidateCount") or 1)
    output = 0 if script.get("blocked") else min(int(script.get("tokens_out", OUTPUT_DEFAULT)) * candidates, cap(body))
    return Tokens(
        fresh=total_in - cached,
        cached=cached,
        output=output,
        reasoning=min(int(script.get("reasoning", 0)), output),
    )


def usage(used: Tokens, body: dict[str, Any], script: Script) -> dict[str, Any]:
    """The usage object; what is zero is left out, as Google does."""
    told = {
        "promptTokenCount": used.total_input,
        "cachedContentTokenCount": used.cached,
        "candidatesTokenCount": used.output - used.reasoning,
        "thoughtsTokenCount": used.reasoning,
        "totalTokenCount": used.total_input + used.output,
    }
    details = [{"modality": "TEXT", "tokenCount": used.total_input}]
    return {name: count for name, count in told.items() if count} | {"promptTokensDetails": details}


class Answer:
    """One answer, as a whole, in events or as the elements of an array."""

    def __init__(self, body: dict[str, Any], script: Script, used: Tokens, told: dict[str, Any] | None) -> None:
        self._body, self._script, self._used, self._told = body, script, used, told
        self._candidates = int(_config(body).get("candidateCount") or 1)
        self._word = str(script.get("text", "word"))
        self._pieces = int(script.get("chunks", 5))
        self._in_array = body.get("alt") != "sse"
        self._begun = False
        self.content_type = ARRAY if self._in_array else "text/event-stream"
        self.id = secrets.token_urlsafe(16)
        self._frame = {"modelVersion": script.get("model", body["model"]), "responseId": self.id}

    def whole(self) -> bytes:
        """The JSON object."""
        if not self._body.get("contents"):
            return self._embeddings()
        if self._script.get("blocked"):
            return orjson.dumps(self._blocked())
        text = " ".join([self._word] * self._pieces)
        return orjson.dumps(self._event(text, finish=True), option=orjson.OPT_INDENT_2)

    def events(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """Pieces before the content, of the content, and after it."""
        if self._script.get("blocked"):
            return [], [self._piece(self._blocked())], self._end()
        words = [self._word if at == 0 else f" {self._word}" for at in range(self._pieces)]
        content = [self._piece(self._event(word)) for word in words]
        return [], content, [self._piece(self._event("", finish=True)), *self._end()]

    def error_event(self) -> bytes:
        """How the real API breaks a stream off."""
        return self._piece(orjson.loads(error(503))) + (b"\n]" if self._in_array else b"")

    def _end(self) -> list[bytes]:
        return [b"\n]"] if self._in_array else []

    def _piece(self, event: dict[str, Any]) -> bytes:
        if not self._in_array:
            return b"data: " + orjson.dumps(event) + b"\r\n\r\n"
        before, self._begun = (b"\n,\r\n" if self._begun else b"["), True
        return before + orjson.dumps(event, option=orjson.OPT_INDENT_2)

    def _event(self, text: str, *, finish: bool = False) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"text": text}]
        if finish:
            calls = int(self._script.get("tool_calls", 0))
            parts += [{"functionCall": {"name": "look", "args": {"at": 1}}} for _ in range(calls)]
        end = {"finishReason": "MAX_TOKENS" if self._used.output >= cap(self._body) else "STOP"} if finish else {}
        candidates = [
            {"content": {"parts": parts, "role": "model"}, **end, "index": index} for index in range(self._candidates)
        ]
        return {"candidates": candidates, **self._usage(whole=finish), **self._frame}

    def _usage(self, *, whole: bool) -> dict[str, Any]:
        """The report so far: before the end it lacks output."""
        if self._told is None:
            return {}
        told = self._told if whole else self._told | {"candidatesTokenCount": min(1, self._used.output)}
        return {"usageMetadata": told}

    def _blocked(self) -> dict[str, Any]:
        return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **self._usage(whole=True), **self._frame}

    def _embeddings(self) -> bytes:
        values = {"values": [0.25, -0.5]}
        many = self._body.get("requests")
        found = {"embeddings": [values] * len(many)} if many else {"embedding": values}
        return orjson.dumps(found | ({} if self._told is None else {"usageMetadata": self._told}))


def models() -> bytes:
    """The list of models."""
    return orjson.dumps({"models": [_model(name) for name in TABLE if name.startswith("gemini")]})


def model(name: str) -> bytes | None:
    """One model."""
    return orjson.dumps(_model(name)) if knows(name) else None


def _model(name: str) -> dict[str, Any]:
    return {"name": f"models/{name}", "version": "001", "displayName": name}
