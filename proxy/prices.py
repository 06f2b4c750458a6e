"""The price book and the organisations' own rates as this process uses them: what bills proved wrong is out of use."""

import logging
from collections.abc import Sequence
from datetime import datetime

from agents import pricing, rates
from agents.models import CustomRate
from agents.pricebook import PriceBook
from agents.pricebook import UnpricedModel as NoRow
from agents.pricing import PriceRow
from agents.pricing.custom import is_custom
from proxy.errors import UnpricedModel
from proxy.providers.targets import Listing, Provider, Target

logger = logging.getLogger(__name__)


class Prices:
    """A price book, and what bills have proven wrong: rows, models' bounds by bytes, counts of tokenizers.

    own: an organisation's rates, which come before the book. listing: where the book has the model; what the bills of
    an upstream that an organisation chose prove wrong is out of use for that upstream alone.
    """

    def __init__(self, book: PriceBook) -> None:
        self.book = book
        self._quarantined: set[str] = set()
        self._unbounded: set[str] = set()
        self._miscounted: set[tuple[str, str]] = set()

    @property
    def version(self) -> str:
        """The version that calls are priced by."""
        return self.book.version

    def has(self, provider: str, model: str, own: Sequence[CustomRate] = (), *, listing: Listing | None = None) -> bool:
        """Whether the model has a price, now or at another time."""
        at = listing or Listing(provider, model)
        return rates.find(own, provider, model) is not None or self.book.has(at.provider, at.model)

    def models(self, provider: Provider, own: Sequence[CustomRate] = ()) -> list[str]:
        """The model ids of a provider that have a price, sorted."""
        if provider.deployments is None:
            listed = self.book.models(provider.listing("").provider)
        else:
            listed = [
                name for name, model in provider.deployments.items() if self.book.has(provider.prices or "", model)
            ]
        added = {rate.model for rate in own if rate.provider == provider.name}.difference(listed)
        return sorted([*listed, *added]) if added else listed

    def rows_between(
        self, target: Target, start: datetime, end: datetime, own: Sequence[CustomRate] = ()
    ) -> list[PriceRow]:
        """The rows that may come to price a call; raises errors.UnpricedModel."""
        provider, model, listing = target.provider, target.model, target.listing
        rate = rates.find(own, provider, model) if own else None
        try:
            rows = self.book.rows_between(listing.provider, listing.model, start, end)
        except NoRow as error:
            if rate is None:
                raise UnpricedModel(model=model, provider=provider) from error
            rows = []
        if rate is not None:
            rows = [_own_row(rate, listed=rows)]
        if self._quarantined and any(_row_name(row.row_id, listing) in self._quarantined for row in rows):
            raise UnpricedModel(model=model, provider=provider, hint="Its price was found wrong and is being checked.")
        if self._unbounded and _bounded_name(rows[0], listing) in self._unbounded:
            raise UnpricedModel(model=model, provider=provider, hint="It reads more than we can bound; being checked.")
        return rows

    def row_at(self, provider: str, model: str, at: datetime, own: Sequence[CustomRate] = ()) -> PriceRow:
        """The row that prices a call which was made elsewhere; raises pricebook.UnpricedModel."""
        rate = rates.find(own, provider, model)
        return self.book.row(provider, model, at) if rate is None else rates.row_of(rate)

    def may_count(self, provider: str, model: str) -> bool:
        """Whether a tokenizer's count has held for every bill of the model. model: as the price book names it."""
        return (provider, model) not in self._miscounted

    def compare_bound(
        self, row: PriceRow, listing: Listing, *, counted: bool, bound_tokens: int, actual_tokens: int
    ) -> bool:
        """Whether a bill's input was within its bound; one that was not switches the bound off for the model.

        row: of the call's ceiling. counted: the bound came from a tokenizer; later calls are bounded by bytes. Else the
        model is in quarantine; an organisation's own rate only until it is set anew.
        """
        if actual_tokens <= bound_tokens:
            return True
        if counted:
            self._miscounted.add((row.provider, row.model))
        else:
            self._unbounded.add(_bounded_name(row, listing))
        logger.error(
            "bound breach: %s/%s read %d tokens and was bounded to %d by %s", row.provider, row.model, actual_tokens,
            bound_tokens, "its tokenizer; it is not counted again" if counted else "bytes; the model is in quarantine",
        )  # fmt: skip
        return False

    def settle(
        self,
        *,
        listing: Listing,
        served_model: str | None,
        held_rows: Sequence[PriceRow],
        usage: pricing.Usage,
        circumstances: pricing.Circumstances,
        started_at: datetime,
        ended_at: datetime,
        ceiling_pico: int,
        miscounted: bool = False,
    ) -> pricing.Settlement:
        """Price a finished call; a cost above its ceiling puts the row into quarantine.

        held_rows: those of its ceiling; where that is the organisation's own rate it prices the call, whatever was
        changed meanwhile and whichever model answered. miscounted: its input was above a tokenizer's count, which
        explains the cost without a wrong row. Raises pricing.UnpricedFeature for a tier or token kind that the rows
        have no price for.
        """
        rows = held_rows
        if not any(is_custom(row.row_id) for row in held_rows):
            rows = self._rows_at(listing, served_model, started_at, ended_at) or held_rows
        settlement = pricing.settle(rows, usage, circumstances, reserved_pico=ceiling_pico)
        if settlement.cost_pico > ceiling_pico and not miscounted:
            self._quarantined.add(_row_name(settlement.row_id, listing))
            logger.error(
                "overrun: %s cost %d pico-dollars over a ceiling of %d; the row is in quarantine",
                settlement.row_id, settlement.cost_pico, ceiling_pico,
            )  # fmt: skip
        return settlement

    def _rows_at(
        self, listing: Listing, served_model: str | None, started_at: datetime, ended_at: datetime
    ) -> Sequence[PriceRow]:
        """None where a price ended just before the call, or began just after: only the ceiling looks around."""
        try:
            return self.book.settle_rows(listing.provider, listing.model, served_model, started_at, ended_at)
        except NoRow:
            return ()


def _row_name(row_id: str, listing: Listing) -> str:
    """What a wrong price is remembered by."""
    return f"{listing.upstream} {row_id}" if listing.upstream else row_id


def _bounded_name(row: PriceRow, listing: Listing) -> str:
    """What a broken bound is remembered by."""
    return _row_name(row.row_id if is_custom(row.row_id) else f"{row.provider}/{row.model}", listing)


def _own_row(rate: CustomRate, listed: Sequence[PriceRow]) -> PriceRow:
    """The rate as a row; how much the model writes at most is still the price list's to say."""
    limits = [row.output_limit for row in listed if row.output_limit is not None]
    return rates.row_of(rate, output_limit=min(limits, default=None))
