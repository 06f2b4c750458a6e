"""The form in which a flush travels: arrays as text, endings as one JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from agents.ledger.statement import Statement

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from agents.ledger.terms import CachedRow, CallEnd, CallStart, RefusalRow

FLUSH = Statement(
    "ledger_flush",
    """
SELECT flushed_at, outcomes, codes, limits, spent, held, rooms, refused_at, refused_spent, refused_held
FROM ledger_flush($1::uuid, $2::uuid[], $3::json, $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
                  $9::text[], $10::integer[], $11::bigint[], $12::integer[], $13::uuid[], $14::uuid[], $15::bigint[],
                  $16::bigint[], $17::boolean[], $18::uuid[], $19::integer[], $20::bigint[], $21::bigint[],
                  $22::double precision[], $23::text[])
""",
)

# Levels of a document that the serialiser refuses to write whole.
DEPTH_MAX = 64

# Longest texts of the book's columns; more is cut, because a call that happened must be booked.
_LENGTHS = {
    "provider": 40,
    "endpoint": 40,
    "model": 128,
    "served_model": 128,
    "session": 128,
    "user_subject": 128,
    "sub_agent": 64,
    "reason": 40,
    "price_version": 12,
    "provider_request_id": 128,
    "basis": 10,
}
_START_TEXTS = ("provider", "endpoint", "model", "session", "user_subject", "sub_agent", "price_version")
_START_VALUES = ("key_id", "streamed", "tags", "system_bytes", "body_fingerprint", "last_message_fingerprint")
_END_TEXTS = ("basis", "served_model", "reason", "provider_request_id")
_END_VALUES = (
    "cost_pico",
    "tokens",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "output_tokens",
    "reasoning_tokens",
    "pricing",
    "http_status",
    "failed",
    "tool_call_count",
    "first_byte_ms",
    "duration_ms",
    "facts",
)

_COUNTS = (
    "cost_pico",
    "tokens",
    "body_fingerprint",
    "last_message_fingerprint",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_long_tokens",
    "output_tokens",
    "reasoning_tokens",
    "system_bytes",
    "tool_call_count",
)

type Row = dict[str, Any]


def array(values: Iterable[object]) -> str:
    """Return PostgreSQL's text form of an array of numbers or identifiers."""
    return "{" + ",".join(map(str, values)) + "}"


def array_with_gaps(values: Iterable[object | None]) -> str:
    """Return PostgreSQL's text form of an array in which None stands for NULL."""
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


def quoted(text: str) -> str:
    """Return one element of a text array."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pick(thing: object, texts: tuple[str, ...], values: tuple[str, ...], row: Row) -> Row:
    """Copy what is not empty: the SQL side fills the rest in."""
    for name in texts:
        if text := getattr(thing, name):
            row[name] = text if len(text) <= _LENGTHS[name] else text[: _LENGTHS[name]]
    for name in values:
        if value := getattr(thing, name):
            row[name] = value
    return row


def start_row(start: CallStart) -> Row:
    """Return the columns of a call's beginning."""
    return _pick(start, _START_TEXTS, _START_VALUES, {})


def ending_row(call_id: UUID, status: str, end: CallEnd, start: Row) -> Row:
    """Return the columns of a whole call, its amounts within the book's range.

    status: settled or voided.
    """
    row = _pick(end, _END_TEXTS, _END_VALUES, dict(start))
    row["call_id"] = call_id
    row["status"] = status
    if status == "voided":
        row |= {"cost_pico": 0, "tokens": 0, "basis": "none"}
    return row


def recorded_row(
    call_id: UUID, organization_id: UUID, agent_id: UUID, start: CallStart, end: CallEnd, *, practice: bool
) -> Row:
    """Return the columns of a call that was made elsewhere; what it leaves out has the table's empty value."""
    empty = dict.fromkeys(_START_TEXTS + _END_TEXTS, "") | dict.fromkeys(_COUNTS, 0)
    return (
        empty
        | {"streamed": False, "failed": False, "repeat_count": 1, "counted": 1, "held_pico": 0}
        | ending_row(call_id, "settled", end, start_row(start))
        | {"organization_id": organization_id, "agent_id": agent_id, "practice": practice}
    )


def refusal_row(refusal: RefusalRow, repeat_count: int, asked_pico: int) -> Row:
    """Return the columns of a refused call, which may stand for several like it.

    asked_pico: the sum of what they asked for.
    """
    return start_row(refusal.start) | {
        "call_id": refusal.call_id,
        "organization_id": refusal.organization_id,
        "agent_id": refusal.agent_id,
        "status": "refused",
        "reason": refusal.reason[: _LENGTHS["reason"]],
        "http_status": refusal.http_status,
        "practice": refusal.practice,
        "held_pico": asked_pico,
        "repeat_count": repeat_count,
        "facts": refusal.facts,
    }


def cached_row(cached: CachedRow, repeat_count: int, saved_pico: int) -> Row:
    """Return the columns of a call that was answered from the cache, which may stand for several.

    saved_pico: the sum of what they would have cost.
    """
    facts = {"saved_pico": saved_pico} | ({"original": cached.original_id} if cached.original_id else {})
    return start_row(cached.start) | {
        "call_id": cached.call_id,
        "organization_id": cached.organization_id,
        "agent_id": cached.agent_id,
        "status": "cached",
        "http_status": cached.http_status,
        "practice": False,
        "held_pico": 0,
        "repeat_count": repeat_count,
        "duration_ms": cached.duration_ms,
        "facts": facts,
    }


def to_json(document: object) -> str:
    """Return JSON that PostgreSQL accepts: no NUL, no half of a surrogate pair, integers of 64 bits at most.

    What is nested deeper than the serialiser goes is cut: one such row would hold up all that are written with it.
    """
    try:
        data = orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        data = orjson.dumps(_clean(document), option=orjson.OPT_NON_STR_KEYS)
    if b"\\u0000" in data:
        data = orjson.dumps(_clean(document), option=orjson.OPT_NON_STR_KEYS)
    return data.decode()


def _clean(value: Any, depth: int = 0) -> Any:
    match value:
        case str():
            return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
        case bool() | None | float():
            return value
        case int():
            return value if -(2**63) <= value < 2**63 else str(value)
        case dict() | list() | tuple() if depth > DEPTH_MAX:
            return "…"
        case dict():
            return {_clean(str(key)): _clean(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_clean(item, depth + 1) for item in value]
        case _:
            return str(value)
