"""Days as the ledger counts them."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from accounts.ids import uuid7
from agents.days import Period, call_ids, day_of, day_period, days_between, days_period


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        (date(2026, 3, 29), "Europe/Berlin", 23),
        (date(2026, 10, 25), "Europe/Berlin", 25),
        (date(2026, 11, 22), "Asia/Kolkata", 24),
        (date(2026, 3, 8), "America/New_York", 23),
    ],
)
def test_a_day_is_as_long_as_its_clocks_say(day: date, zone: str, hours: int) -> None:
    period = day_period(day, zone)
    assert period.end_at - period.start_at == timedelta(hours=hours)
    assert day_of(period.start_at, zone) == day
    assert day_of(period.end_at - timedelta(microseconds=1), zone) == day
    assert day_of(period.end_at, zone) == day + timedelta(days=1)


def test_days_follow_each_other_without_a_gap() -> None:
    days = days_between(date(2026, 10, 24), date(2026, 10, 27))
    periods = [day_period(day, "Europe/Berlin") for day in days]
    assert all(before.end_at == after.start_at for before, after in pairwise(periods))
    assert days_period(days[0], days[-1], "Europe/Berlin") == Period(periods[0].start_at, periods[-1].end_at)


def test_the_ids_of_a_period_allow_for_clocks_a_day_off() -> None:
    noon = datetime(2026, 11, 22, 12, tzinfo=UTC)
    first, last = call_ids(Period(noon, noon + timedelta(hours=1)))
    early, late = (uuid7(int((noon + off).timestamp() * 1000)) for off in (-timedelta(hours=23), timedelta(hours=24)))
    assert first < early < late < last
    assert uuid7(int((noon - timedelta(hours=25)).timestamp() * 1000)) < first
