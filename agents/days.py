"""Days as an organisation counts them, and where the calls of a stretch of time lie in the book."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from agents.models import Window
from agents.windows import window_of

# The ledger takes ids whose clock is up to a day off, so a call can lie that far from the time it was reserved.
ID_CLOCK_OFF_MAX = timedelta(days=1)
_HALF_DAY = timedelta(hours=12)
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Period:
    """From a moment up to but not including another."""

    start_at: datetime
    end_at: datetime


def day_of(at: datetime, zone: str) -> date:
    """The day of a zone that the ledger counts a moment to, also where midnight comes twice."""
    return (window_of(Window.DAY, zone, at).start + _HALF_DAY).astimezone(ZoneInfo(zone)).date()


def day_period(day: date, zone: str) -> Period:
    """A calendar day in a zone: 23 or 25 hours when the clocks change."""
    span = window_of(Window.DAY, zone, datetime.combine(day, time(12), ZoneInfo(zone)))
    assert span.end is not None, "a day ends"
    return Period(span.start, span.end)


def days_period(first: date, last: date, zone: str) -> Period:
    """Whole days, both ends included."""
    return Period(day_period(first, zone).start_at, day_period(last, zone).end_at)


def day_query(day: date) -> str:
    """The call log's query for one day."""
    return f"range=custom&since={day}&until={day}"


def days_between(first: date, last: date) -> list[date]:
    """Every day from first to last, both included."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def call_ids(period: Period) -> tuple[UUID, UUID]:
    """The smallest and largest call id that a call of this period can have: bounds that prune partitions."""
    first_ms = _milliseconds(period.start_at - ID_CLOCK_OFF_MAX)
    last_ms = _milliseconds(period.end_at + ID_CLOCK_OFF_MAX)
    return UUID(int=first_ms << 80), UUID(int=(last_ms << 80) | ((1 << 80) - 1))


def _milliseconds(at: datetime) -> int:
    return int(max(at, _EARLIEST).timestamp() * 1000)
