"""Prices that end soon or have ended: the price book says until when a rate was published or promised (A4)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from agents import rates
from agents.models import HourlyUsage, Mark
from agents.pricebook import PriceBook, current_book
from alerts.models import Alert, AlertKind

MARK = "alerts.prices"
LOOKED_EVERY = timedelta(hours=1)
SOON_DAYS = 7
USED_WITHIN = timedelta(days=30)


def expiring_prices(at: datetime) -> Iterator[Alert]:
    """Alerts for each model that an organisation used in the last 30 days and whose price ends within a week, or has.

    Two in all for each end of a price: one before it, told by the days left, and one from it on. Organisations that
    have a rate of their own for the model are not concerned.
    """
    last_at = Mark.of(MARK)
    if last_at is not None and at - last_at < LOOKED_EVERY:
        return
    Mark.move(MARK, at)
    book = current_book()
    used = HourlyUsage.objects.filter(hour__gte=at - USED_WITHIN, call_count__gt=0).order_by()
    for organization_id, provider, asked in used.values_list("organization_id", "provider", "model").distinct():
        model = asked.removeprefix(f"{provider}/")
        ends = endings(book, *rates.names_in_list(organization_id, provider, model), at)
        due = [end for end in ends if end.ends_at <= at + timedelta(days=SOON_DAYS)]
        if due and not _has_own(organization_id, provider, model):
            yield from (_alert(organization_id, provider, end, at) for end in due)


def _alert(organization_id: UUID, provider: str, end: "Ending", at: datetime) -> Alert:
    ended = end.ends_at <= at
    return Alert(
        organization_id=organization_id, kind=AlertKind.PRICE_EXPIRES,
        subject=f"{provider}/{end.model}"[:128], window_start=end.ends_at, threshold=0 if ended else SOON_DAYS,
        facts={
            "provider": provider, "model": end.model, "expires_at": end.ends_at.isoformat(), "ended": ended,
            "promised": end.promised,
        },
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ending:
    """model: as the price book names it, so that its dated names are told of once.

    promised: the provider promised the price no longer; else the list has no price after that.
    """

    model: str
    ends_at: datetime
    promised: bool = False


def endings(book: PriceBook, provider: str, model: str, at: datetime) -> list[Ending]:
    """When the price that holds now, or held last, ends without another one that follows; earliest first."""
    row = book.last_row(provider, model, at)
    if row is None:
        return []
    ends = [] if row.recheck_after_at is None else [Ending(row.model, row.recheck_after_at, promised=True)]
    if row.until_at is not None and not book.has_row_at(provider, model, row.until_at):
        ends.append(Ending(row.model, row.until_at))
    return sorted(ends, key=lambda end: end.ends_at)


def _has_own(organization_id: UUID, provider: str, model: str) -> bool:
    return rates.find(rates.current(organization_id), provider, model) is not None
