"""The price book as this process uses it: rows that were proven wrong here are not used again."""

import logging
from datetime import datetime

from agents import pricing
from agents.pricebook import PriceBook
from agents.pricebook import UnpricedModel as NoRow
from agents.pricing import PriceRow
from proxy.errors import UnpricedModel

logger = logging.getLogger(__name__)


class Prices:
    """A price book and the rows of it that are in quarantine."""

    def __init__(self, book: PriceBook) -> None:
        self.book = book
        self._quarantined: set[str] = set()

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
        return rows

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
    ) -> pricing.Settlement:
        """Price a finished call; a cost above its ceiling puts the row into quarantine.

        Raises pricing.UnpricedFeature for a tier or token kind that the rows have no price for.
        """
        rows = self.book.settle_rows(provider, model, served_model, started_at, ended_at)
        settlement = pricing.settle(rows, usage, circumstances, reserved_pico=ceiling_pico)
        if settlement.cost_pico > ceiling_pico:
            self._quarantined.add(settlement.row_id)
            logger.error(
                "overrun: %s cost %d pico-dollars over a ceiling of %d; the row is in quarantine",
                settlement.row_id, settlement.cost_pico, ceiling_pico,
            )  # fmt: skip
        return settlement
