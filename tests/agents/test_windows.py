"""Windows in Python and in SQL: the same answer at every instant, days of 23 and 25 hours included."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.windows import Span, UnknownWindow, window_of

# Havana's and Beirut's midnights come twice or never on change days; Apia once skipped a whole day.
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana", "Asia/Beirut",
    "America/Sao_Paulo", "Pacific/Apia", "Pacific/Chatham", "Africa/Casablanca",
]  # fmt: skip


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("window", "zone", "moment", "start", "end"),
    [
        ("day", "UTC", "2026-11-22T23:59:59", "2026-11-22", "2026-11-23"),
        ("day", "Europe/Berlin", "2026-11-22T23:00", "2026-11-22T23:00", "2026-11-23T23:00"),
        ("day", "Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00", "2026-10-24T22:00", "2026-10-25T23:00"),
        ("week", "UTC", "2026-11-22T10:00", "2026-11-16", "2026-11-23"),
        ("month", "America/New_York", "2026-03-01T04:59", "2026-02-01T05:00", "2026-03-01T05:00"),
        ("month", "UTC", "2028-02-29T10:00", "2028-02-01", "2028-03-01"),
        # Midnight comes twice in Havana: between the two it is still the day before.
        ("day", "America/Havana", "2026-11-01T04:30", "2026-10-31T04:00", "2026-11-01T05:00"),
    ],
)
def test_a_window_begins_and_ends_at_local_midnight(window: str, zone: str, moment: str, start: str, end: str) -> None:
    assert window_of(window, zone, at(moment)) == Span(at(start), at(end))


@pytest.mark.parametrize("window", ["total", "session"])
def test_some_windows_never_end(window: str) -> None:
    assert window_of(window, "UTC", at("2026-11-22")).end is None


def test_other_windows_are_not_computed() -> None:
    with pytest.raises(UnknownWindow):
        window_of("rolling_24h", "UTC", at("2026-11-22"))


@given(
    moment=st.integers(1_262_304_000, 2_114_380_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    zone=st.sampled_from(ZONES),
    window=st.sampled_from(["day", "week", "month"]),
)
def test_a_window_contains_its_instant_and_the_next_one_follows(moment: datetime, zone: str, window: str) -> None:
    span = window_of(window, zone, moment)
    assert span.end is not None
    assert span.start <= moment < span.end
    assert window_of(window, zone, span.start) == span
    assert window_of(window, zone, span.end).start == span.end
    assert window_of(window, zone, span.end - timedelta(microseconds=1)) == span


@pytest.mark.django_db
def test_postgresql_computes_the_same_windows() -> None:
    @settings(max_examples=400, deadline=None)
    @given(
        days=st.integers(0, 15 * 366),
        minute=st.integers(-180, 180),
        zone=st.sampled_from(ZONES),
        window=st.sampled_from(["day", "week", "month"]),
    )
    def check(days: int, minute: int, zone: str, window: str) -> None:
        # Close to local midnights of every day between 2012 and 2027.
        midnight = window_of("day", zone, at("2012-01-01") + timedelta(days=days)).start
        moment = midnight + timedelta(minutes=minute)
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM ledger_window(%s, %s, %s)", [window, zone, moment])
            assert cursor.fetchone() == (*_ends(window_of(window, zone, moment)),)

    check()


def _ends(span: Span) -> tuple[datetime, datetime | None]:
    return span.start, span.end
