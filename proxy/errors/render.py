"""A refusal as the answer that the caller's client understands."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zlib import crc32

import orjson

from proxy.errors.budgets import BudgetRefusal, Refusal
from proxy.errors.table import TABLE, Dialect, Row, Wait

SHORT_WAIT_SECONDS_MAX = 5
GOOGLE_ERROR_DOMAIN = "awx-shredder"


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer of our own; header names are lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def render(error: Refusal, dialect: Dialect, *, call_id: str, now: datetime, budget_status: int = 429) -> Rendered:
    """Write the refusal in the caller's dialect.

    now: aware, for Retry-After until the reset; budget_status: 402 where the agent is set to it.
    """
    row = TABLE[error.reason]
    status = budget_status if row.may_be_402 else row.status
    return Rendered(
        status,
        _headers(error, row, call_id=call_id, now=now),
        orjson.dumps(_body(error, row, dialect, call_id, status)),
    )


def render_stream_error(error: Refusal, dialect: Dialect, *, call_id: str) -> bytes:
    """The refusal as the last event of a stream that has begun."""
    row = TABLE[error.reason]
    body = orjson.dumps(_body(error, row, dialect, call_id, row.status))
    prefix = b"event: error\n" if dialect is Dialect.ANTHROPIC else b""
    return prefix + b"data: " + body + b"\n\n"


def render_array_error(error: Refusal, dialect: Dialect, *, call_id: str, begun: bool) -> bytes:
    """The refusal as the last element of a JSON array. begun: the client has some of the array already."""
    row = TABLE[error.reason]
    body = orjson.dumps(_body(error, row, dialect, call_id, row.status))
    return (b"\n,\n" if begun else b"[") + body + b"\n]\n"


def message(error: Refusal) -> str:
    """The sentence for people: the row's, then the hint."""
    row = TABLE[error.reason]
    of_call = isinstance(error, BudgetRefusal) and error.is_of_call
    sentence = (row.sentence_of_call if of_call else row.sentence).format_map(error.words()).strip()
    return f"{sentence} {error.hint}" if error.hint else sentence


def _body(error: Refusal, row: Row, dialect: Dialect, call_id: str, status: int) -> dict[str, Any]:
    awx = {"reason": error.reason, "call_id": call_id, **error.facts(), "hint": error.hint or None}
    text = message(error)
    if dialect is Dialect.ANTHROPIC:
        return {
            "type": "error",
            "error": {"type": row.anthropic_type, "message": text, "awx": awx},
            "request_id": call_id or None,
            "awx": awx,
        }
    if dialect is Dialect.GEMINI:
        details = _google_details(error, text)
        return {"error": {"code": status, "message": text, "status": row.gemini_status, "details": details, "awx": awx}}
    code = row.openai_code or error.reason
    return {
        "error": {"message": text, "type": row.openai_type, "code": code, "param": error.param, "awx": awx},
    }


def _google_details(error: Refusal, text: str) -> list[dict[str, Any]]:
    """What Google's clients look for beside the sentence."""
    kind = "type.googleapis.com/google.rpc."
    details: list[dict[str, Any]] = [
        {"@type": f"{kind}ErrorInfo", "reason": error.reason.upper(), "domain": GOOGLE_ERROR_DOMAIN}
    ]
    if error.param:
        details.append({"@type": f"{kind}BadRequest", "fieldViolations": [{"field": error.param, "description": text}]})
    return details


def _headers(error: Refusal, row: Row, *, call_id: str, now: datetime) -> list[tuple[str, str]]:
    retry = row.should_retry if error.should_retry is None else error.should_retry
    headers = [("content-type", "application/json"), ("x-should-retry", "true" if retry else "false")]
    wait_seconds = _wait_seconds(error, row, call_id=call_id, now=now)
    if wait_seconds is not None:
        headers.append(("retry-after", str(wait_seconds)))
    return headers


def _wait_seconds(error: Refusal, row: Row, *, call_id: str, now: datetime) -> int | None:
    if row.wait is Wait.RESET and isinstance(error, BudgetRefusal) and error.resets_at:
        return max(1, -int(-(error.resets_at - now).total_seconds() // 1))
    if row.wait is Wait.SHORT and error.retry_after_seconds is None:
        # Callers refused together must not come back together.
        return 1 + crc32(call_id.encode()) % SHORT_WAIT_SECONDS_MAX
    if row.wait in (Wait.SHORT, Wait.GIVEN):
        return error.retry_after_seconds
    return None
