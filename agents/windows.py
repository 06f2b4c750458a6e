"""When a budget's window begins and ends: pure arithmetic on instants; the SQL function ledger_window says the same."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownWindow(ValueError):
    """This kind of window cannot be computed."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time: from start, up to but without end; an end of None never comes."""

    start: datetime
    end: datetime | None


def window_of(window: str, time_zone: str, at: datetime) -> Span:
    """Return the window that contains an instant.

    window: day, week (from Monday), month, session or total.
    time_zone: IANA name of the organisation's zone.
    """
    if window in ("session", "total"):
        return Span(_EPOCH, None)
    zone = ZoneInfo(time_zone)
    first = _first_day(window, at.astimezone(zone).date())
    # Local midnight may come twice; an instant between the two belongs to the day before.
    if _midnight(first, zone) > at:
        first = _first_day(window, first - timedelta(days=1))
    elif _midnight(_next(window, first), zone) <= at:
        first = _next(window, first)
    return Span(_midnight(first, zone), _midnight(_next(window, first), zone))


def _first_day(window: str, day: date) -> date:
    match window:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case _:
            raise UnknownWindow(window)


def _next(window: str, first: date) -> date:
    match window:
        case "day":
            return first + timedelta(days=1)
        case "week":
            return first + timedelta(days=7)
        case _:
            return (first + timedelta(days=32)).replace(day=1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return local midnight as an instant; where it comes twice or never, the later reading, as PostgreSQL does."""
    return max(datetime.combine(day, time(fold=fold), zone).astimezone(UTC) for fold in (0, 1))
