"""What a call's page explains: each kind of token at the rate it was priced by."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from agents.kept_books import kept_book
from agents.models import Call
from agents.money import parse_usd, usd_display, usd_exact
from agents.pricebook import UnpricedModel, listed_names
from agents.pricing import PriceRow, UnpricedFeature
from agents.pricing.custom import is_custom
from agents.pricing.usage import TOKEN_BUCKETS
from agents.rates import kept_row
from agents.reports.calls import Entry

_TOKENS_PER_RATE = 1_000_000
_OWN_COLUMNS = ("input", "cache_read", "cache_write", "cache_write_long", "output")
_BUDGET_NUMBERS = (("limit", "Limit"), ("spent", "Spent then"), ("held", "Held then"))
_CALL_NUMBERS = (("limit", "Limit for one call"), ("asked", "Asked for at most"))
_book_of = lru_cache(maxsize=4)(kept_book)
_NAMES = {
    "input": "Input",
    "cache_read": "Input read from the cache",
    "cache_write": "Input written to the cache",
    "cache_write_long": "Input written to the cache, long lifetime",
    "output": "Output",
    "audio_input": "Audio input",
    "audio_cache_read": "Audio input read from the cache",
    "audio_output": "Audio output",
    "image_input": "Image input",
    "image_cache_read": "Image input read from the cache",
    "image_output": "Image output",
    "characters": "Characters",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One kind of token; without a known rate only its number is shown.

    rate_pico: pico-dollars per million.
    """

    name: str
    count: int
    rate_pico: int | None = None
    cost_pico: int | None = None


@dataclass(frozen=True, slots=True)
class Priced:
    """How the cost came about."""

    lines: list[Line]
    row_id: str
    by_own_rate: bool
    circumstances: list[tuple[str, str]]
    total_tokens: int


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a refusal, in the budget's unit: for people, and with every digit."""

    name: str
    shown: str
    exact: str


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What the page of a call shows beside the row itself."""

    priced: Priced
    refusal: list[Number]
    flags: list[str]
    overrun_pico: int
    waiting_ms: int | None  # from the provider's first byte to its last
    original_id: UUID | None  # of an answer from the cache: the call that made it


def facts_of(entry: Entry) -> CallFacts:
    """Explain a finished call."""
    call = entry.used
    facts: Mapping[str, Any] = call.facts or {}
    return CallFacts(
        priced=_priced(call),
        refusal=refusal_facts(facts) if entry.is_refused else [],
        flags=[str(flag).replace("_", " ") for flag in facts.get("flags", [])],
        overrun_pico=int(facts.get("overrun_pico", 0)),
        waiting_ms=None if call.duration_ms is None or call.first_byte_ms is None
        else call.duration_ms - call.first_byte_ms,
        original_id=_uuid(facts.get("original")) if entry.is_cached else None,
    )  # fmt: skip


def refusal_facts(facts: Mapping[str, Any]) -> list[Number]:
    """The numbers of a refusal: why it did not fit. Those of a limit for each call are the limit and what was asked."""
    of_call = facts.get("scope") == "call"
    names = _CALL_NUMBERS if of_call else _BUDGET_NUMBERS
    unit = str(facts.get("unit", "usd"))
    return [number for key, name in names if (number := _number(name, facts.get(key), unit)) is not None]


def _number(name: str, exact: object, unit: str) -> Number | None:
    """A fact of a refusal, as refusals write it: exact dollars, or a count. Facts are free JSON: odd ones stay out."""
    try:
        if unit != "usd":
            return Number(name, f"{int(str(exact)):,}", unit)
        pico = exact if isinstance(exact, int) else parse_usd(str(exact))
    except ValueError:
        return None
    return Number(name, usd_display(pico), f"${usd_exact(pico)}")


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _priced(call: Call) -> Priced:
    pricing: Mapping[str, Any] = call.pricing or {}
    row_id = str(pricing.get("row", ""))
    row = _row_of(call, row_id)
    counts = _counts(call, pricing)
    rates = _rates(row, counts, str(pricing.get("tier", "default"))) if row is not None else {}
    lines = [
        Line(_NAMES[bucket], count, *_at_rate(count, rates.get(bucket))) for bucket, count in counts.items() if count
    ]
    for tool, times in pricing.get("tools", {}).items():
        lines.append(Line(f"Calls of {tool.replace('_', ' ')}", times, None, _fee(row, tool, times)))
    if row is not None and row.call_pico:
        lines.append(Line("The call itself", 1, None, row.call_pico))
    told = [(name, str(pricing[name])) for name in ("tier", "speed", "geo", "geo_multiplier") if name in pricing]
    return Priced(lines, row_id, is_custom(row_id), told, sum(counts.values()))


def _counts(call: Call, pricing: Mapping[str, Any]) -> dict[str, int]:
    own = {bucket: int(getattr(call, f"{bucket}_tokens")) for bucket in _OWN_COLUMNS}
    return {bucket: own.get(bucket, 0) or int(pricing.get(bucket, 0)) for bucket in TOKEN_BUCKETS}


def _at_rate(count: int, rate: int | None) -> tuple[int | None, int | None]:
    return (None, None) if rate is None else (rate * _TOKENS_PER_RATE, rate * count)


def _fee(row: PriceRow | None, tool: str, times: int) -> int | None:
    try:
        return None if row is None else row.tool_fee(tool) * times
    except UnpricedFeature:
        return None


def _rates(row: PriceRow, counts: Mapping[str, int], tier: str) -> dict[str, int | None]:
    total_input = sum(counts[bucket] for bucket in TOKEN_BUCKETS if "output" not in bucket and bucket != "characters")
    try:
        found = row.rates(tier, total_input)
    except UnpricedFeature:
        return {}
    return {bucket: getattr(found, bucket) for bucket in TOKEN_BUCKETS}


def _row_of(call: Call, row_id: str) -> PriceRow | None:
    """The row that priced the call, from the book it was priced by; none rather than a similar one."""
    if is_custom(row_id):
        return kept_row(call.organization_id, row_id)
    book = _book_of(call.price_version) if row_id else None
    if book is None:
        return None
    provider, listed = listed_names(call.provider, call.model, call.pricing or {})
    for model in (listed, call.served_model):
        for at in (call.reserved_at, call.ended_at):
            try:
                row = book.row(provider, model, at)
            except UnpricedModel:
                continue
            if row.row_id == row_id:
                return row
    return None
