"""Prices that end soon: the price book says until when a rate was published or promised (A4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from agents import rates
from agents.models import HourlyUsage, Mark
from agents.pricebook import PriceBook, UnpricedModel, current_book
from agents.pricing import PriceRow
from alerts.models import Alert, AlertKind

MARK = "alerts.prices"
LOOKED_EVERY = timedelta(hours=1)
SOON = timedelta(days=14)
USED_WITHIN = timedelta(days=7)


def expiring_prices(at: datetime) -> Iterator[Alert]:
    """One alert for each model that an organisation used lately and whose price ends within two weeks, or has ended.

    Organisations that have a rate of their own for the model are not concerned.
    """
    last_at = Mark.of(MARK)
    if last_at is not None and at - last_at < LOOKED_EVERY:
        return
    Mark.move(MARK, at)
    used = HourlyUsage.objects.filter(hour__gte=at - USED_WITHIN, call_count__gt=0).order_by()
    for organization_id, provider, model in used.values_list("organization_id", "provider", "model").distinct():
        priced = ending(current_book(), provider, model, at)
        if priced is not None and priced.ends_at <= at + SOON and not _has_own(organization_id, provider, model):
            yield Alert(
                organization_id=organization_id, kind=AlertKind.PRICE_EXPIRES,
                subject=f"{provider}/{priced.model}"[:128], window_start=priced.ends_at,
                facts={"provider": provider, "model": priced.model, "expires_at": priced.ends_at.isoformat()},
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ending:
    """model: as the price book names it, so that its dated names are told of once."""

    model: str
    ends_at: datetime


def ending(book: PriceBook, provider: str, model: str, at: datetime) -> Ending | None:
    """When the price that holds now ends without another one that follows; None while the book knows no end."""
    row = _row(book, provider, model, at)
    if row is None:
        return None
    ends = [] if row.recheck_after_at is None else [row.recheck_after_at]
    if row.until_at is not None and _row(book, provider, model, row.until_at) is None:
        ends.append(row.until_at)
    return Ending(row.model, min(ends)) if ends else None


def _row(book: PriceBook, provider: str, model: str, at: datetime) -> PriceRow | None:
    try:
        return book.row(provider, model, at)
    except UnpricedModel:
        return None


def _has_own(organization_id: UUID, provider: str, model: str) -> bool:
    return rates.find(rates.current(organization_id), provider, model) is not None
