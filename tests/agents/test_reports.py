"""Spend has one definition: tiles, bars, chart and sums agree with the ledger."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import budgets, rollups
from agents.days import day_of, day_period
from agents.ledger import partitions
from agents.models import Agent, Balance, Budget, Call, CallStatus, DailyUsage, Reservation
from agents.money import PICO_PER_USD
from agents.reports import agent_page, calls
from agents.reports.hard_limits import widest_limit
from agents.reports.overview import overview
from agents.reports.spend import organization_today, refusals_today, spend_by_day, spend_by_hour, total_pico
from agents.reports.standing import State, standing, standings
from tests import cast
from tests.agents.pages_house import CENT, book_call, refuse_call

pytestmark = pytest.mark.django_db
DOLLAR = PICO_PER_USD


@pytest.fixture
def past() -> None:
    partitions.ensure(days_back=12)


def _ledger_pico(person: cast.Person) -> int:
    meter = Balance.objects.filter(budget__organization=person.organization, budget__agent=None, practice=False)
    return int(meter.aggregate(spent=Sum("spent"))["spent"])


@pytest.mark.usefixtures("past")
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/Los_Angeles", "Pacific/Auckland"])
def test_the_sum_of_days_is_the_ledger_before_and_after_rolling_up(zone: str) -> None:
    alice, now = cast.alice(time_zone=zone), timezone.now()
    other = budgets.create_agent(alice.organization, "second", daily_limit_pico=DOLLAR, by=None)
    for hours in range(0, 200, 7):
        book_call(alice, now - timedelta(hours=hours), cost_pico=CENT + hours, agent=other if hours % 2 else None)
    first = day_of(now, zone) - timedelta(days=9)
    before = spend_by_day(alice.organization, first, now)
    rollups.sum_again(alice.organization, now - timedelta(days=10), now)
    assert DailyUsage.objects.filter(organization_id=alice.organization.id).exists()
    after = spend_by_day(alice.organization, first, now)
    assert before == after
    assert total_pico(after) == _ledger_pico(alice)
    assert overview(alice.organization, now).chart.total_pico == _ledger_pico(alice)
    assert sum(point.by_agent.get(other.id, 0) for point in after) == sum(
        Balance.objects.filter(budget__agent=other).values_list("spent", flat=True)
    )


@pytest.mark.usefixtures("past")
def test_today_and_this_month_say_what_the_ledger_says() -> None:
    alice, now = cast.alice(), timezone.now()
    book_call(alice, now, cost_pico=3 * CENT)
    shown = overview(alice.organization, now)
    assert shown.organization.spent_pico == 3 * CENT
    assert shown.month_pico >= 3 * CENT
    assert shown.standings[0].window.spent_pico == 3 * CENT


def test_practice_calls_and_other_organisations_are_outside_every_sum() -> None:
    alice, charlie, now = cast.alice(), cast.charlie(), timezone.now()
    book_call(alice, now, cost_pico=DOLLAR, practice=True)
    book_call(charlie, now, cost_pico=DOLLAR)
    refuse_call(charlie, now)
    shown = overview(alice.organization, now)
    assert (shown.organization.spent_pico, shown.month_pico, shown.chart.total_pico) == (0, 0, 0)
    assert shown.refusals.count == 0


def test_what_is_held_counts_windows_that_are_over() -> None:
    alice, now = cast.alice(), timezone.now()
    meter = Budget.objects.get(organization=alice.organization, agent=None)
    yesterday = day_period(day_of(now, "UTC") - timedelta(days=1), "UTC")
    Balance.objects.create(
        budget=meter, window_start=yesterday.start_at, window_end=yesterday.end_at, spent=9, held=5, opened_at=now
    )
    today = organization_today(alice.organization, now)
    assert (today.held_pico, today.spent_pico) == (5, 0)


def test_a_flood_of_refusals_counts_every_call_and_its_money() -> None:
    alice, now = cast.alice(), timezone.now()
    refuse_call(alice, now, asked_pico=2 * CENT, repeat_count=40)
    refuse_call(alice, now, asked_pico=CENT, reason="provider_not_connected")
    found = refusals_today(alice.organization, now)[alice.agent.id]
    assert (found.count, found.asked_pico, found.budget_count) == (41, 81 * CENT, 40)


def test_a_flood_of_dear_calls_does_not_pass_the_range_of_numbers() -> None:
    alice, now = cast.alice(), timezone.now()
    for _ in range(3):
        refuse_call(alice, now, asked_pico=9_000_000 * DOLLAR)
    assert refusals_today(alice.organization, now)[alice.agent.id].asked_pico == 27_000_000 * DOLLAR


def test_hours_begin_at_the_organisations_midnight() -> None:
    alice, now = cast.alice(time_zone="Asia/Kolkata"), timezone.now()
    day = day_of(now, "Asia/Kolkata")
    start_at = day_period(day, "Asia/Kolkata").start_at
    book_call(alice, start_at + timedelta(minutes=59), cost_pico=1)
    book_call(alice, start_at + timedelta(minutes=60), cost_pico=2)
    spent = spend_by_hour(alice.organization, alice.agent.id, day)
    assert spent == {start_at: 1, start_at + timedelta(hours=1): 2}
    chart = agent_page.hourly_chart(alice.organization, alice.agent, now)
    assert chart.drawings[0].columns[0].title.startswith("00:00")
    assert chart.total_pico == 3


@pytest.mark.parametrize(
    ("cents", "state"), [(0, State.NEW), (10, State.OK), (250, State.WARNED), (400, State.NEAR), (500, State.BLOCKED)]
)
def test_an_agents_state_follows_its_day(cents: int, state: State) -> None:
    alice = cast.alice()
    if cents:
        book_call(alice, cost_pico=cents * CENT)
    assert standing(alice.organization, alice.agent, timezone.now()).state is state


def test_a_refusal_blocks_only_when_most_is_spent() -> None:
    alice = cast.alice()
    book_call(alice, cost_pico=300 * CENT)
    refuse_call(alice)
    assert standing(alice.organization, alice.agent, timezone.now()).state is State.WARNED
    book_call(alice, cost_pico=100 * CENT)
    assert standing(alice.organization, alice.agent, timezone.now()).state is State.BLOCKED


def test_pausing_says_more_than_spending() -> None:
    alice = cast.alice()
    book_call(alice, cost_pico=500 * CENT)
    budgets.pause(alice.agent, by=alice.user)
    assert standing(alice.organization, alice.agent, timezone.now()).state is State.PAUSED


def test_a_budget_of_nothing_is_full_and_one_without_limit_has_no_share() -> None:
    alice = cast.alice(daily_limit_pico=0)
    zero = standing(alice.organization, alice.agent, timezone.now())
    assert (zero.percent, zero.available_pico, zero.state) == (100, 0, State.BLOCKED)
    free = budgets.create_agent(alice.organization, "free", daily_limit_pico=None, by=None)
    unlimited = standing(alice.organization, free, timezone.now())
    assert (unlimited.percent, unlimited.available_pico) == (None, None)


def test_a_lowered_limit_never_leaves_less_than_nothing() -> None:
    alice = cast.alice()
    book_call(alice, cost_pico=400 * CENT)
    budgets.set_limit(Budget.objects.get(agent=alice.agent), DOLLAR, by=alice.user)
    found = standing(alice.organization, alice.agent, timezone.now())
    assert (found.available_pico, found.percent) == (0, 400)


def test_archived_agents_leave_the_overview_but_stay_in_the_chart() -> None:
    alice, now = cast.alice(), timezone.now()
    book_call(alice, cost_pico=CENT)
    budgets.archive(alice.agent, by=alice.user)
    shown = overview(alice.organization, now)
    assert shown.standings == []
    assert [series.name for series in shown.chart.series] == ["support-triage"]


def test_only_a_limit_of_the_organisation_is_a_wider_budget() -> None:
    alice = cast.alice()
    assert widest_limit(alice.organization) is None
    budgets.set_limit(Budget.objects.get(organization=alice.organization, agent=None), DOLLAR, by=alice.user)
    found = widest_limit(alice.organization)
    assert found is not None
    assert found.limit == DOLLAR


def _query_count(person: cast.Person) -> int:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        overview(person.organization, timezone.now())
    return len(queries)


def test_the_overview_asks_as_often_for_one_agent_as_for_many() -> None:
    alice = cast.alice()
    book_call(alice)
    few = _query_count(alice)
    for number in range(8):
        agent = budgets.create_agent(alice.organization, f"agent {number}", daily_limit_pico=DOLLAR, by=None)
        book_call(alice, agent=agent)
        refuse_call(alice, agent=agent)
    assert len(standings(alice.organization, timezone.now())) == 9
    assert _query_count(alice) == few <= 14


def test_the_log_shows_a_call_at_its_corrected_cost() -> None:
    alice = cast.alice()
    expired = book_call(alice, cost_pico=10 * CENT, status=CallStatus.EXPIRED, input_tokens=0, output_tokens=0)
    book_call(
        alice, expired.reserved_at, call_id=expired.call_id, seq=1, status=CallStatus.CORRECTED, reason="late_settle",
        cost_pico=-7 * CENT, input_tokens=500, output_tokens=20,
    )  # fmt: skip
    entry = calls.find(alice.organization, expired.call_id)
    assert entry is not None
    assert (entry.cost_pico, entry.used_cost_pico, entry.input_tokens) == (3 * CENT, 3 * CENT, 500)
    rows = Call.objects.filter(organization_id=alice.organization.id, seq=0)
    assert [one.cost_pico for one in calls.entries_of(alice.organization, list(rows))] == [3 * CENT]


def test_another_organisations_calls_are_not_found() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    call = book_call(alice)
    assert calls.find(charlie.organization, call.call_id) is None
    now = timezone.now()
    Reservation.objects.create(
        call_id=call.call_id, organization_id=alice.organization.id, agent_id=alice.agent.id, owner=call.call_id,
        reserved_at=now, deadline_at=now, usd_pico=1, tokens=1, balance_ids=[],
    )  # fmt: skip
    assert calls.find_running(charlie.organization, call.call_id) is None
    assert calls.running(charlie.organization) == []
    assert [one.agent_name for one in calls.running(alice.organization)] == ["support-triage"]


def test_a_month_begins_on_its_first_day_in_the_zone() -> None:
    alice = cast.alice(time_zone="Pacific/Auckland")
    at = datetime(2026, 11, 30, 12, tzinfo=UTC)  # already December there
    shown = overview(alice.organization, at)
    assert shown.today.isoformat() == "2026-12-01"
    assert shown.month_start == shown.today


def test_the_first_call_of_a_new_agent_is_noticed_with_either_key() -> None:
    alice = cast.alice()
    assert agent_page.first_call(alice.agent, timezone.now()) is None
    refuse_call(alice, reason="provider_not_connected")
    assert agent_page.first_call(alice.agent, timezone.now()) is None
    refusal = agent_page.last_refusal(alice.agent, timezone.now())
    assert refusal is not None
    assert refusal.reason == "provider_not_connected"
    practice = book_call(alice, practice=True)
    found = agent_page.first_call(Agent.objects.get(id=alice.agent.id), timezone.now())
    assert found is not None
    assert found.call_id == practice.call_id
