"""Costs against tokens: each metered call is priced again by the book that priced it."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson
from django.db import connection

from agents import pricing
from agents.audit.report import Check
from agents.audit.totals import PRICED
from agents.models import PriceBookVersion
from agents.pricebook import VERSION_LENGTH, PriceBook, UnpricedModel, current_book, listed_names
from agents.pricing import PriceRow, UnpricedFeature
from agents.pricing.custom import is_custom
from agents.pricing.dated import dated_row
from agents.pricing.kept import kept_circumstances, kept_usage
from agents.rates import kept_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.backends.utils import CursorWrapper

_COLUMNS = """call_id, organization_id, provider, model, served_model, reserved_at, ended_at, price_version, pricing,
    cost_pico, held_pico, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_long_tokens, output_tokens,
    reasoning_tokens, seq"""
METERED = f"SELECT {_COLUMNS} FROM ({{rows}}) c WHERE {PRICED}"  # noqa: S608 (only our own column names)
VERSIONS = "SELECT DISTINCT v FROM audited_day, unnest(price_versions) AS v ORDER BY v"
FIRSTS = """
SELECT call_id, cost_pico, held_pico FROM call
WHERE call_id = ANY (%(ids)s) AND call_id BETWEEN %(least)s AND %(greatest)s AND seq = 0
"""
BATCH = 5_000
_COST, _HELD = 9, 10  # places among the columns


def check(cursor: CursorWrapper, rows: str) -> Check:
    """Price every metered call of some rows again."""
    found = Check("prices", "the stored tokens, priced again by the stored price version, give the stored cost")
    books = _Books()
    # Read in pieces: a day may not fit into the memory.
    with connection.chunked_cursor() as reader:
        reader.execute(METERED.replace("{rows}", rows))
        while batch := reader.fetchmany(BATCH):
            found.examined_count += len(batch)
            for call in _as_settled(cursor, batch):
                if breach := _breach(books, *call):
                    found.add(f"call {call[0]}: {breach}", call[1])
    return found


def check_versions(cursor: CursorWrapper, found: Check) -> None:
    """Remembered calls can be priced again as long as their price versions are there, as they were."""
    cursor.execute(VERSIONS)
    for (version,) in cursor.fetchall():
        if version == current_book().version:
            continue
        kept = PriceBookVersion.objects.filter(version=version).first()
        if kept is None:
            found.add(f"price version {version!r} of calls that were read before is not kept any more")
        elif sha256(kept.content.encode()).hexdigest()[:VERSION_LENGTH] != version:
            found.add(f"price version {version!r} is not what it was when calls were priced by it")


def _as_settled(cursor: CursorWrapper, batch: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Calls with the cost and the ceiling that a settlement had.

    A late settle carries the difference to what the expiry charged, while its usage prices the whole.
    """
    late_ids = sorted(row[0] for row in batch if row[-1] > 0)
    firsts = {}
    if late_ids:
        cursor.execute(FIRSTS, {"ids": late_ids, "least": late_ids[0], "greatest": late_ids[-1]})
        firsts = {call_id: (cost_pico, held_pico) for call_id, cost_pico, held_pico in cursor.fetchall()}
    for *call, seq in batch:
        if seq > 0:
            charged_pico, call[_HELD] = firsts.get(call[0], (0, call[_HELD]))
            call[_COST] += charged_pico
        yield tuple(call)


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
        owner, listed = listed_names(provider, model, facts)
        row = next(_rows(book, owner, (listed, served), (reserved_at, ended_at), row_id), None)
    if row is None:
        return f"price row {row_id!r} is not in {source}"
    try:
        again = pricing.settle([row], kept_usage(facts, tokens), kept_circumstances(facts), reserved_pico=held_pico)
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
