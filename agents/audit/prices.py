"""Costs against tokens: each metered call is priced again by the book that priced it."""

from __future__ import annotations

from dataclasses import fields
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from agents import pricing
from agents.audit.report import Check
from agents.models import PriceBookVersion
from agents.pricebook import PriceBook, UnpricedModel, current_book
from agents.pricing import Circumstances, PriceRow, UnpricedFeature, Usage
from agents.pricing.custom import is_custom
from agents.pricing.dated import dated_row
from agents.rates import kept_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.utils import CursorWrapper

# A late settle carries the difference to what the expiry charged; its usage prices the whole.
METERED = """
SELECT c.call_id, c.organization_id, c.provider, c.model, c.served_model, c.reserved_at, c.ended_at, c.price_version,
       c.pricing, c.cost_pico + coalesce(f.cost_pico, 0), coalesce(f.held_pico, c.held_pico), c.input_tokens,
       c.cache_read_tokens, c.cache_write_tokens, c.cache_write_long_tokens, c.output_tokens, c.reasoning_tokens
FROM call c
LEFT JOIN call f ON c.reason = 'late_settle' AND c.seq > 0 AND f.call_id = c.call_id AND f.seq = 0
WHERE c.pricing ? 'row' AND (c.status = 'settled' OR c.reason = 'late_settle')
"""
BATCH = 2_000
_TOKENS = ("input", "cache_read", "cache_write", "cache_write_long", "output", "reasoning")
_USAGE_FIELDS = frozenset(field.name for field in fields(Usage))


def check(cursor: CursorWrapper) -> Check:
    """Price every metered call again."""
    found = Check("prices", "the stored tokens, priced again by the stored price version, give the stored cost")
    books = _Books()
    cursor.execute(METERED)
    while rows := cursor.fetchmany(BATCH):
        for row in rows:
            found.examined_count += 1
            if breach := _breach(books, *row):
                found.breaches.append(f"call {row[0]}: {breach}")
    return found


class _Books:
    """The price books and the organisations' own rates that the installation has kept, ended ones included."""

    def __init__(self) -> None:
        self.of = cache(self._of)
        self.own = cache(kept_row)

    def _of(self, version: str) -> PriceBook | None:
        if version == current_book().version:
            return current_book()
        kept = PriceBookVersion.objects.filter(version=version).first()
        if kept is None:
            return None
        return PriceBook((dated_row(row) for row in orjson.loads(kept.content)["rows"]), version=version)


def _breach(
    books: _Books, call_id: Any, organization_id: Any, provider: str, model: str, served: str, reserved_at: Any,
    ended_at: Any, version: str, kept: Any, cost_pico: int, held_pico: int, *tokens: int,
) -> str | None:  # fmt: skip
    """Return what is wrong with one call's cost, None when nothing is."""
    facts: dict[str, Any] = orjson.loads(kept) if isinstance(kept, str) else dict(kept)
    row_id = str(facts["row"])
    if is_custom(row_id):
        row = books.own(organization_id, row_id)
        source = "the organisation's own rates"
    elif (book := books.of(version)) is None:
        return f"price version {version!r} is not kept"
    else:
        source = f"version {version}"
        row = next(_rows(book, provider, (model, served), (reserved_at, ended_at), row_id), None)
    if row is None:
        return f"price row {row_id!r} is not in {source}"
    try:
        again = pricing.settle([row], _usage(facts, tokens), _circumstances(facts), reserved_pico=held_pico)
    except UnpricedFeature as error:
        return f"its {error.name} has no price in {source}"
    if again.cost_pico != cost_pico:
        return f"booked {cost_pico} pico-dollars, priced again {again.cost_pico}"
    return None


def _rows(
    book: PriceBook, provider: str, models: tuple[str, ...], moments: tuple[Any, ...], row_id: str
) -> Iterator[PriceRow]:
    """Rows with that id: a call is priced by the dearest of the rows between its start and its end."""
    for model in filter(None, models):
        for at in moments:
            try:
                row = book.row(provider, model, at)
            except UnpricedModel:
                continue
            if row.row_id == row_id:
                yield row
        try:
            rows = book.settle_rows(provider, models[0], models[1] or None, *moments)
        except UnpricedModel:
            continue
        yield from (row for row in rows if row.row_id == row_id)


def _usage(facts: dict[str, Any], tokens: tuple[int, ...]) -> Usage:
    values: dict[str, Any] = dict(zip(_TOKENS, tokens, strict=True))
    values |= {name: value for name, value in facts.items() if name in _USAGE_FIELDS}
    if "unknown_keys" in values:
        values["unknown_keys"] = tuple(values["unknown_keys"])
    return Usage(**values)


def _circumstances(facts: dict[str, Any]) -> Circumstances:
    values: dict[str, Any] = {name: facts[name] for name in ("tier", "speed", "geo", "billed") if name in facts}
    if "geo_multiplier" in facts:
        values["geo_multiplier"] = Fraction(facts["geo_multiplier"])
    return Circumstances(**values)
