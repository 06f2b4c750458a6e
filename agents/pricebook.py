"""The price book: which row prices a model at a moment. Rows come from agents/data/pricebook.json."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import orjson

from agents.pricing import PriceRow
from agents.pricing.dated import DatedRow, dated_row

BOOK_PATH = Path(__file__).parent / "data" / "pricebook.json"
VERSION_LENGTH = 12
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

# A dated or "latest" id that has no row of its own costs what its family's row says.
_DASHED_DATE = r"-20\d\d-[01]\d-[0-3]\d"
_COMPACT_DATE = r"-20\d\d[01]\d[0-3]\d"
_FAMILY = re.compile(rf"(.+?)(?:{_DASHED_DATE}|{_COMPACT_DATE})", re.ASCII)
_ANTHROPIC_FAMILY = re.compile(rf"(.+?)(?:{_COMPACT_DATE}|-latest|-0)", re.ASCII)


class UnpricedModel(Exception):
    """No row of the price book prices this model at this moment."""

    def __init__(self, provider: str, model: str) -> None:
        super().__init__(f"{provider}/{model}")
        self.provider = provider
        self.model = model


class PriceBook:
    """All rows by provider and model id; immutable."""

    def __init__(self, rows: Iterable[DatedRow], version: str) -> None:
        self.version = version
        self._rows: dict[tuple[str, str], list[DatedRow]] = {}
        for dated in rows:
            for model in dated.models:
                self._rows.setdefault((dated.row.provider, model), []).append(dated)

    @classmethod
    def load(cls, path: Path = BOOK_PATH) -> Self:
        """Read a book; its version is the first 12 hex digits of the file's SHA-256."""
        content = path.read_bytes()
        facts = orjson.loads(content)
        return cls(
            (dated_row(row) for row in facts["rows"]),
            version=sha256(content).hexdigest()[:VERSION_LENGTH],
        )

    def with_rows(self, rows: Iterable[Mapping[str, object]], version: str) -> "PriceBook":
        """A book in which these rows (in the form of pricebook.json) replace the models they name."""
        book = PriceBook((), version)
        added = PriceBook((dated_row(row) for row in rows), version)
        book._rows = self._rows | added._rows
        return book

    def row(self, provider: str, model: str, at: datetime) -> PriceRow:
        """The row that prices a call at this moment, in its off-peak form where that applies."""
        for dated in self._known(provider, model):
            if dated.active_at(at):
                return dated.at(at)
        raise UnpricedModel(provider, model)

    def rows_between(self, provider: str, model: str, start: datetime, end: datetime) -> list[PriceRow]:
        """The rows that may come to price a call that starts and ends between two moments.

        Off-peak rates are never among them. Where a price was promised no longer than before `end`,
        every row the model ever had is: the old price may be back.
        """
        known = self._known(provider, model)
        active = [dated.row for dated in known if dated.active_between(start, end)]
        if not active:
            raise UnpricedModel(provider, model)
        for row in active:
            if row.recheck_after_at is not None and end >= row.recheck_after_at:
                return [dated.row for dated in known]
        return active

    def settle_rows(
        self, provider: str, requested: str, served: str | None, started_at: datetime, ended_at: datetime
    ) -> list[PriceRow]:
        """The rows among which the dearest prices a finished call: of both model ids, at both its ends.

        served: the model the response names; one that has no row is left out.
        """
        rows: dict[str, PriceRow] = {}
        for model in (requested, served) if served and served != requested else (requested,):
            known = self._find(provider, model)
            for at in (started_at, ended_at):
                for dated in known:
                    if dated.active_at(at):
                        row = dated.at(at)
                        rows[row.row_id] = row
        if not rows:
            raise UnpricedModel(provider, requested)
        return list(rows.values())

    def has(self, provider: str, model: str) -> bool:
        """Whether any row, of any time, prices the model."""
        return bool(self._find(provider, model))

    def has_row_at(self, provider: str, model: str, at: datetime) -> bool:
        """Whether the model has a price at this moment."""
        return any(dated.active_at(at) for dated in self._find(provider, model))

    def last_row(self, provider: str, model: str, at: datetime) -> PriceRow | None:
        """The row that holds at this moment, or the last one that did; None where there was none yet."""
        begun = [dated for dated in self._find(provider, model) if (dated.row.since_at or _LONG_AGO) <= at]
        return max(begun, key=lambda dated: dated.row.since_at or _LONG_AGO).at(at) if begun else None

    def models(self, provider: str) -> list[str]:
        """The model ids of a provider that have a row, sorted."""
        return sorted(model for owner, model in self._rows if owner == provider)

    def _known(self, provider: str, model: str) -> Sequence[DatedRow]:
        rows = self._find(provider, model)
        if not rows:
            raise UnpricedModel(provider, model)
        return rows

    def _find(self, provider: str, model: str) -> Sequence[DatedRow]:
        exact = self._rows.get((provider, model))
        if exact is not None:
            return exact
        for name in _families(provider, model):
            rows = self._rows.get((provider, name))
            if rows is not None:
                return rows
        return ()


@cache
def current_book() -> PriceBook:
    """The book this process prices by."""
    return PriceBook.load()


def listed_names(provider: str, model: str, kept: Mapping[str, Any]) -> tuple[str, str]:
    """Under which provider and model the book has what a call used; a custom provider's call keeps both in its pricing.

    kept: the call's `pricing`.
    """
    listed = kept.get("listed")
    return (str(listed[0]), str(listed[1])) if listed else (provider, model)


def _families(provider: str, model: str) -> list[str]:
    """Ids whose row may price an id that has none of its own."""
    if provider == "google":
        model = model.removeprefix("models/")
    if model.startswith("ft:"):
        # ft:<base>:<organisation>:<name>:<id> is priced by its base, and only if fine-tunes of it have a row.
        return [":".join(model.split(":")[:2])]
    pattern = _ANTHROPIC_FAMILY if provider == "anthropic" else _FAMILY
    family = pattern.fullmatch(model)
    return [model, family[1]] if family else [model]
