"""Costs against tokens: each metered call is priced again by the book that priced it."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from django.db import connection

from agents import pricing
from agents.audit.report import Check
from agents.audit.totals import PRICED
from agents.kept_books import kept_book
from agents.models import PriceBookVersion
from agents.pricebook import VERSION_LENGTH, UnpricedModel, current_book, listed_names
from agents.pricing import UnpricedFeature
from agents.pricing.custom import is_custom
from agents.pricing.kept import TOKEN_COLUMNS, kept_circumstances, kept_usage
from agents.rates import kept_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from uuid import UUID

    from django.db.backends.utils import CursorWrapper

    from agents.pricebook import PriceBook
    from agents.pricing import PriceRow


class _Call(NamedTuple):
    """A metered row of the book, as far as its price goes."""

    call_id: UUID
    organization_id: UUID
    provider: str
    model: str
    served_model: str
    reserved_at: datetime
    ended_at: datetime
    price_version: str
    pricing: Any
    cost_pico: int
    held_pico: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_long_tokens: int
    output_tokens: int
    reasoning_tokens: int
    seq: int


METERED = f"SELECT {', '.join(_Call._fields)} FROM ({{rows}}) c WHERE {PRICED}"  # noqa: S608 (only our own column names)
VERSIONS = "SELECT DISTINCT v FROM audited_day, unnest(price_versions) AS v ORDER BY v"
FIRSTS = """
SELECT call_id, cost_pico, held_pico FROM call
WHERE call_id = ANY (%(ids)s) AND call_id BETWEEN %(least)s AND %(greatest)s AND seq = 0
"""
BATCH = 5_000
_tokens_of = attrgetter(*(f"{name}_tokens" for name in TOKEN_COLUMNS))


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
                if breach := _breach(books, call):
                    found.add(f"call {call.call_id}: {breach}", call.organization_id)
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


def _as_settled(cursor: CursorWrapper, batch: list[tuple[Any, ...]]) -> Iterator[_Call]:
    """Calls with the cost and the ceiling that a settlement had.

    A late settle carries the difference to what the expiry charged, while its usage prices the whole.
    """
    calls = [_Call._make(row) for row in batch]
    late_ids = sorted(call.call_id for call in calls if call.seq > 0)
    firsts = {}
    if late_ids:
        cursor.execute(FIRSTS, {"ids": late_ids, "least": late_ids[0], "greatest": late_ids[-1]})
        firsts = {call_id: (cost_pico, held_pico) for call_id, cost_pico, held_pico in cursor.fetchall()}
    for call in calls:
        if call.seq == 0:
            yield call
        else:
            charged_pico, held_pico = firsts.get(call.call_id, (0, call.held_pico))
            yield call._replace(cost_pico=call.cost_pico + charged_pico, held_pico=held_pico)


class _Books:
    """The price books and the organisations' own rates that the installation has kept, each read once a run."""

    def __init__(self) -> None:
        self.of = cache(kept_book)
        self.own = cache(kept_row)


def _breach(books: _Books, call: _Call) -> str | None:
    """Return what is wrong with one call's cost, None when nothing is."""
    kept = call.pricing
    facts: dict[str, Any] = orjson.loads(kept) if isinstance(kept, str) else dict(kept)
    row_id = str(facts["row"])
    if is_custom(row_id):
        row = books.own(call.organization_id, row_id)
        source = "the organisation's own rates"
    elif (book := books.of(call.price_version)) is None:
        return f"price version {call.price_version!r} is not kept"
    else:
        source = f"version {call.price_version}"
        row = next((row for row in _rows(book, call, facts) if row.row_id == row_id), None)
    if row is None:
        return f"price row {row_id!r} is not in {source}"
    usage, circumstances = kept_usage(facts, _tokens_of(call)), kept_circumstances(facts)
    try:
        again = pricing.settle([row], usage, circumstances, reserved_pico=call.held_pico)
    except UnpricedFeature as error:
        return f"its {error.name} has no price in {source}"
    if again.cost_pico != call.cost_pico:
        return f"booked {call.cost_pico} pico-dollars, priced again {again.cost_pico}"
    return None


def _rows(book: PriceBook, call: _Call, facts: Mapping[str, Any]) -> Iterator[PriceRow]:
    """The rows that may have priced a call: the dearest of those between its start and its end did."""
    provider, listed = listed_names(call.provider, call.model, facts)
    for model in filter(None, (listed, call.served_model)):
        for at in (call.reserved_at, call.ended_at):
            try:
                yield book.row(provider, model, at)
            except UnpricedModel:
                continue
        try:
            yield from book.settle_rows(provider, listed, call.served_model or None, call.reserved_at, call.ended_at)
        except UnpricedModel:
            continue
