"""Sums by hour and day: the same whenever and however often they run, and equal to the book."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.db.models import Sum

from accounts.ids import uuid7
from agents import rollups
from agents.days import day_of, day_period
from agents.models import Basis, Call, CallStatus, DailyUsage, HourlyUsage, Mark
from tests import cast
from tests.cast import Person

pytestmark = pytest.mark.django_db
USD = 10**12
HOUR, MINUTE, DAY = timedelta(hours=1), timedelta(minutes=1), timedelta(days=1)


def partition(day: date) -> None:
    """Make the book's partition of a day of UTC, near or far."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS call_{day:%Y%m%d} PARTITION OF call"
            f" FOR VALUES FROM (uuid7_floor('{start.isoformat()}')) TO (uuid7_floor('{(start + DAY).isoformat()}'))"
        )


def call(person: Person, at: datetime, **columns: Any) -> Call:
    """Add a settled call of one cent to the book; columns: what is different."""
    [only] = calls(person, [at], **columns)
    return only


def calls(person: Person, moments: Iterable[datetime], **columns: Any) -> list[Call]:
    """Add calls to the book, one for each moment."""
    rows = [_row(person, at, **columns) for at in moments]
    for day in {row.reserved_at.astimezone(UTC).date() for row in rows}:
        partition(day)
    return Call.objects.bulk_create(rows)


def _row(person: Person, at: datetime, **columns: Any) -> Call:
    values: dict[str, Any] = {
        "call_id": uuid7(int(at.timestamp() * 1000)), "organization_id": person.organization.id,
        "agent_id": person.agent.id, "reserved_at": at, "ended_at": at, "cost_pico": USD // 100,
        "held_pico": USD // 10, "status": CallStatus.SETTLED, "basis": Basis.USAGE, "provider": "openai",
        "model": "gpt-4o-mini", "input_tokens": 100, "output_tokens": 10,
    }  # fmt: skip
    return Call(**(values | columns))


def correct(original: Call, at: datetime, cost_pico: int) -> Call:
    """Amend a call by a difference, later."""
    return Call.objects.create(
        call_id=original.call_id, seq=1, organization_id=original.organization_id, agent_id=original.agent_id,
        reserved_at=original.reserved_at, ended_at=at, cost_pico=cost_pico, status=CallStatus.CORRECTED,
        provider=original.provider, model=original.model,
    )  # fmt: skip


def everything() -> list[tuple[Any, ...]]:
    """Both tables without their keys."""
    names = ("organization_id", "agent_id", "provider", "model", *rollups.SUM_NAMES)
    hours = HourlyUsage.objects.order_by("hour", *names).values_list("hour", *names)
    days = DailyUsage.objects.order_by("day", *names).values_list("day", *names)
    return [*hours, *days]


def days() -> dict[date, int]:
    rows = DailyUsage.objects.order_by().values("day").annotate(cost=Sum("cost_pico"))
    return {row["day"]: int(row["cost"]) for row in rows}


START = datetime(2026, 11, 3, 10, 30, tzinfo=UTC)


def test_an_hour_counts_calls_failures_refusals_tokens_and_money() -> None:
    alice = cast.alice()
    call(alice, START, cache_read_tokens=7, cache_write_tokens=5, cache_write_long_tokens=3)
    call(alice, START + MINUTE, status=CallStatus.EXPIRED, basis=Basis.WORST_CASE, cost_pico=USD, failed=True)
    call(alice, START + MINUTE, status=CallStatus.VOIDED, cost_pico=0, input_tokens=0, output_tokens=0, failed=True)
    call(
        alice, START, status=CallStatus.REFUSED, repeat_count=40, held_pico=4 * USD, cost_pico=0, input_tokens=0,
        output_tokens=0, reason="budget_exceeded",
    )  # fmt: skip
    rollups.roll_up(START + HOUR)
    hour = HourlyUsage.objects.get()
    assert hour.hour == START.replace(minute=0)
    assert (hour.call_count, hour.failed_count, hour.refused_count) == (3, 2, 40)
    assert (hour.cost_pico, hour.refused_pico) == (USD + USD // 100, 4 * USD)
    assert (hour.input_tokens, hour.cache_read_tokens, hour.output_tokens) == (215, 7, 20)


def test_a_repeated_run_changes_nothing() -> None:
    """H11."""
    alice = cast.alice()
    calls(alice, [START + step * 53 * MINUTE for step in range(50)])
    rollups.roll_up(START + 3 * DAY)
    once = everything()
    for _ in range(3):
        rollups.roll_up(START + 3 * DAY)
    Mark.objects.all().delete()
    rollups.roll_up(START + 3 * DAY)
    assert everything() == once


def test_runs_every_hour_give_the_same_as_one_late_run() -> None:
    alice = cast.alice()
    for step in range(60):
        call(alice, START + step * 47 * MINUTE, ended_at=START + step * 47 * MINUTE + 9 * MINUTE)
    for step in range(3 * 24):
        rollups.roll_up(START + step * HOUR)
    often = everything()
    for table in (HourlyUsage, DailyUsage, Mark):
        table.objects.all().delete()
    rollups.roll_up(START + 3 * DAY)
    assert everything() == often
    assert len(days()) == 3


def test_sums_of_hours_and_days_are_the_sum_of_the_calls() -> None:
    """H9, H10, D8 of the product: one number everywhere."""
    alice, charlie = cast.alice(time_zone="America/New_York"), cast.charlie()
    for step in range(120):
        person = alice if step % 3 else charlie
        call(person, START + step * 31 * MINUTE, cost_pico=step * 1_000_003, model=f"model-{step % 4}")
    rollups.roll_up(START + 10 * DAY)
    total = sum(step * 1_000_003 for step in range(120))
    for table in (HourlyUsage, DailyUsage):
        assert table.objects.aggregate(sum=Sum("cost_pico"))["sum"] == total
        assert table.objects.aggregate(sum=Sum("call_count"))["sum"] == 120


def test_practice_calls_are_left_out() -> None:
    alice = cast.alice()
    call(alice, START, practice=True)
    rollups.roll_up(START + 3 * DAY)
    assert everything() == []


def test_a_late_correction_sums_its_hour_and_its_day_anew() -> None:
    alice = cast.alice()
    expired = call(alice, START, status=CallStatus.EXPIRED, basis=Basis.WORST_CASE, cost_pico=USD)
    rollups.roll_up(START + 5 * DAY)
    correct(expired, START + 5 * DAY + MINUTE, cost_pico=-USD * 3 // 4)
    assert rollups.roll_up(START + 5 * DAY + 2 * MINUTE) == 1
    hour, day = HourlyUsage.objects.get(), DailyUsage.objects.get()
    assert hour.cost_pico == day.cost_pico == USD // 4
    assert hour.call_count == day.call_count == 1


def test_a_call_over_midnight_belongs_to_the_day_that_reserved_it() -> None:
    """D10."""
    alice = cast.alice()
    at = datetime(2026, 11, 3, 23, 59, 59, tzinfo=UTC)
    call(alice, at, ended_at=at + 20 * MINUTE)
    rollups.roll_up(at + DAY)
    assert days() == {date(2026, 11, 3): USD // 100}


def test_a_day_is_not_written_before_its_calls_have_ended() -> None:
    alice = cast.alice()
    call(alice, START)
    rollups.roll_up(datetime(2026, 11, 4, 0, 44, tzinfo=UTC))
    assert days() == {}
    rollups.roll_up(datetime(2026, 11, 4, 0, 46, tzinfo=UTC))
    assert days() == {date(2026, 11, 3): USD // 100}


@pytest.mark.parametrize(
    ("zone", "day", "hour_count"),
    [
        ("Europe/Oslo", date(2026, 3, 29), 23),
        ("Europe/Oslo", date(2026, 10, 25), 25),
        ("America/New_York", date(2026, 3, 8), 23),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Asia/Kolkata", date(2026, 11, 3), 24),
        ("Asia/Kathmandu", date(2026, 11, 3), 24),
        ("America/Havana", date(2026, 11, 1), 25),
        ("Africa/Cairo", date(2026, 4, 24), 23),
    ],
)
def test_days_of_any_zone_have_their_own_length_and_lose_nothing(zone: str, day: date, hour_count: float) -> None:
    """D2, H9: a call each ten minutes for longer than a day; the day has as many as it is long."""
    alice = cast.alice(time_zone=zone)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    calls(alice, [noon + step * 10 * MINUTE for step in range(-200, 200)], cost_pico=1)
    rollups.roll_up(noon + 5 * DAY)
    # Where midnight comes twice, the hour between the two belongs to the day before, for the ledger and for us.
    expected = {"America/Havana": 24}.get(zone, hour_count)
    assert days()[day] == expected * 6
    assert sum(days().values()) == 400


def test_every_day_is_the_ledgers_own_window() -> None:
    """The database's function and our days agree on the days on which clocks change."""
    for zone in ("Europe/Oslo", "America/Havana", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kathmandu"):
        at = datetime(2026, 1, 1, 0, 7, tzinfo=UTC)
        while at.year == 2026:
            period = day_period(day_of(at, zone), zone)
            with connection.cursor() as cursor:
                cursor.execute("SELECT * FROM ledger_window('day', %s, %s)", [zone, at])
                assert cursor.fetchone() == (period.start_at, period.end_at), (zone, at)
            at += timedelta(hours=9, minutes=13)


def test_organisations_keep_apart() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    call(alice, START)
    call(charlie, START, cost_pico=7)
    rollups.roll_up(START + 3 * DAY)
    for table in (HourlyUsage, DailyUsage):
        assert table.objects.get(organization_id=charlie.organization.id).cost_pico == 7


def test_after_a_change_of_zone_days_are_written_anew_with_the_next_call() -> None:
    alice = cast.alice()
    call(alice, datetime(2026, 11, 3, 23, 30, tzinfo=UTC))
    rollups.roll_up(START + 5 * DAY)
    alice.organization.time_zone = "Asia/Tokyo"
    alice.organization.save()
    call(alice, START + 5 * DAY)
    rollups.roll_up(START + 5 * DAY + MINUTE)
    assert days() == {date(2026, 11, 4): USD // 100}


def test_the_mark_says_how_far_the_sums_are() -> None:
    alice = cast.alice()
    assert rollups.rolled_until() is None
    call(alice, START)
    rollups.roll_up(START + 10 * DAY)
    assert rollups.rolled_until() == START + 10 * DAY


def test_only_touched_hours_are_read_again() -> None:
    alice = cast.alice()
    calls(alice, [START + step * HOUR for step in range(30)])
    rollups.roll_up(START + 3 * DAY)
    call(alice, START + 3 * DAY)
    assert rollups.roll_up(START + 3 * DAY + MINUTE) == 1
    assert rollups.roll_up(START + 3 * DAY + 9 * MINUTE) == 1, "once more, for what committed late"
    assert rollups.roll_up(START + 3 * DAY + 19 * MINUTE) == 0


@pytest.mark.django_db(transaction=True)
def test_many_runs_at_once_give_the_same_sums() -> None:
    from threading import Thread

    alice = cast.alice()
    calls(alice, [START + step * HOUR for step in range(40)])

    def run() -> None:
        try:
            rollups.roll_up(START + 4 * DAY)
        finally:
            connection.close()

    threads = [Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rollups.roll_up(START + 4 * DAY)
    assert HourlyUsage.objects.aggregate(sum=Sum("call_count"))["sum"] == 40
    assert DailyUsage.objects.aggregate(sum=Sum("call_count"))["sum"] == 40
