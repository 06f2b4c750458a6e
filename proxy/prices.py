"""The price book as this process uses it: rows and bounds that were proven wrong here are not used again."""

import logging
from datetime import datetime

from agents import pricing
from agents.pricebook import PriceBook
from agents.pricebook import UnpricedModel as NoRow
from agents.pricing import PriceRow
from proxy.errors import UnpricedModel

logger = logging.getLogger(__name__)


class Prices:
    """A price book, and what bills have proven wrong: rows of it, models' bounds by bytes, counts of tokenizers."""

    def __init__(self, book: PriceBook) -> None:
        self.book = book
        self._quarantined: set[str] = set()
        self._unbounded: set[tuple[str, str]] = set()
        self._miscounted: set[tuple[str, str]] = set()

    @property
    def version(self) -> str:
        """The version that calls are priced by."""
        return self.book.version

    def has(self, provider: str, model: str) -> bool:
        """Whether the model has a price, now or at another time."""
        return self.book.has(provider, model)

    def rows_between(self, provider: str, model: str, start: datetime, end: datetime) -> list[PriceRow]:
        """The rows that may come to price a call; raises errors.UnpricedModel."""
        try:
            rows = self.book.rows_between(provider, model, start, end)
        except NoRow as error:
            raise UnpricedModel(model=model, provider=provider) from error
        if self._quarantined and any(row.row_id in self._quarantined for row in rows):
            raise UnpricedModel(model=model, provider=provider, hint="Its price was found wrong and is being checked.")
        if (provider, rows[0].model) in self._unbounded:
            raise UnpricedModel(model=model, provider=provider, hint="It reads more than we can bound; being checked.")
        return rows

    def may_count(self, provider: str, model: str) -> bool:
        """Whether a tokenizer's count has held for every bill of the model. model: as the price book names it."""
        return (provider, model) not in self._miscounted

    def compare_bound(self, provider: str, model: str, *, counted: bool, bound_tokens: int, actual_tokens: int) -> bool:
        """Whether a bill's input was within its bound; one that was not switches the bound off for the model.

        model: as the price book names it. counted: the bound came from a tokenizer; later calls are bounded by bytes.
        Else the model is in quarantine.
        """
        if actual_tokens <= bound_tokens:
            return True
        (self._miscounted if counted else self._unbounded).add((provider, model))
        logger.error(
            "bound breach: %s/%s read %d tokens and was bounded to %d by %s", provider, model, actual_tokens,
            bound_tokens, "its tokenizer; it is not counted again" if counted else "bytes; the model is in quarantine",
        )  # fmt: skip
        return False

    def settle(
        self,
        *,
        provider: str,
        model: str,
        served_model: str | None,
        usage: pricing.Usage,
        circumstances: pricing.Circumstances,
        started_at: datetime,
        ended_at: datetime,
        ceiling_pico: int,
        miscounted: bool = False,
    ) -> pricing.Settlement:
        """Price a finished call; a cost above its ceiling puts the row into quarantine.

        miscounted: its input was above a tokenizer's count, which explains the cost without a wrong row.
        Raises pricing.UnpricedFeature for a tier or token kind that the rows have no price for.
        """
        rows = self.book.settle_rows(provider, model, served_model, started_at, ended_at)
        settlement = pricing.settle(rows, usage, circumstances, reserved_pico=ceiling_pico)
        if settlement.cost_pico > ceiling_pico and not miscounted:
            self._quarantined.add(settlement.row_id)
            logger.error(
                "overrun: %s cost %d pico-dollars over a ceiling of %d; the row is in quarantine",
                settlement.row_id, settlement.cost_pico, ceiling_pico,
            )  # fmt: skip
        return settlement
