"""How budgets stand, as the ledger left them: rolling days, top-ups, and windows that have no balance yet."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents import budgets
from agents.budget_terms import BudgetTerms
from agents.ledger import CallEnd, Ledger
from agents.models import Balance, Budget, Mode, Unit, Window
from agents.money import PICO_PER_USD as USD
from agents.reports.budget_list import budget_groups, budget_standings, used_up
from agents.reports.hard_limits import unheld_without, widest_limit
from tests import cast
from tests.agents.ledger_house import House, in_thread


def made(person: cast.Person, *, own: bool = True, **terms: object) -> Budget:
    return budgets.create_budget(person.organization, person.agent if own else None, BudgetTerms(**terms), None)  # type: ignore[arg-type]


@pytest.mark.django_db
def test_a_window_without_a_balance_has_spent_nothing_and_ends_as_it_would() -> None:
    alice, at = cast.alice(time_zone="Asia/Kolkata"), datetime(2026, 11, 25, 20, tzinfo=UTC)
    budget = made(alice, scope="model", scope_name="gpt-4o", window="week", limit=USD)
    Balance.objects.all().delete()
    [row] = budget_standings(alice.organization, [budget], at)
    assert (row.spent, row.held, row.limit, row.available) == (0, 0, USD, USD)
    assert row.resets_at == datetime(2026, 11, 29, 18, 30, tzinfo=UTC)  # Monday's midnight in India


@pytest.mark.django_db
def test_a_window_that_runs_ends_as_the_ledger_says_also_after_a_change_of_zone() -> None:
    alice, at = cast.alice(time_zone="Asia/Kolkata"), timezone.now()
    month = made(alice, scope="agent", window="month", limit=USD)
    ends = Balance.objects.get(budget=month, practice=False).window_end
    type(alice.organization).objects.update(time_zone="America/New_York")
    alice.organization.refresh_from_db()
    [row] = budget_standings(alice.organization, [month], at)
    assert row.resets_at == ends


@pytest.mark.django_db
def test_practice_money_and_windows_that_are_over_count_for_nothing() -> None:
    alice, at = cast.alice(), timezone.now()
    month = made(alice, scope="agent", window="month", limit=USD)
    running = Balance.objects.get(budget=month, practice=False)
    Balance.objects.filter(budget=month, practice=True).update(spent=7)
    Balance.objects.create(
        budget=month, window_start=running.window_start - timedelta(days=30), window_end=running.window_start,
        opened_at=at, spent=9, extra=9,
    )  # fmt: skip
    Balance.objects.filter(pk=running.pk).update(spent=5, held=3, extra=USD)
    [row] = budget_standings(alice.organization, [month], at)
    assert (row.spent, row.held, row.extra, row.limit) == (5, 3, USD, 2 * USD)
    assert row.available == 2 * USD - 8


async def test_a_rolling_day_shows_what_the_ledger_counts_within_it(house: House, ledger: Ledger) -> None:
    rolling = await in_thread(house.new_budget, window=Window.ROLLING, unit=Unit.USD, limit=100)
    for cost_pico in (7, 5):
        ask = house.ask(10)
        await ledger.reserve(ask)
        await ledger.settle(ask.call_id, CallEnd(cost_pico=cost_pico))

    def stands() -> tuple[int, datetime | None]:
        [row] = budget_standings(house.organization, [rolling], timezone.now())
        return row.spent, row.resets_at

    spent, room_at = await in_thread(stands)
    assert spent == 12
    assert room_at is not None
    assert timedelta(hours=24) <= room_at - timezone.now() <= timedelta(hours=25)


@pytest.mark.django_db
def test_budgets_that_differ_only_in_their_unit_are_one_row_and_the_day_comes_first() -> None:
    alice = cast.alice()
    made(alice, scope="session", window="session", limit=None, unit="tokens")
    made(alice, scope="session", window="session", limit=40, unit="calls")
    made(alice, scope="session", window="session", limit=2 * USD)
    made(alice, scope="agent", window="total", limit=9 * USD)
    made(alice, scope="agent", window="day", limit=9, unit="calls", mode="soft")
    assert [group.summary for group in budget_groups(alice.organization, alice.agent, timezone.now())] == [
        "at most $5.00 a day",
        "an alert at 9 calls a day, nothing is refused",
        "at most $9.00 in all",
        "at most $2.00 and 40 calls per session",
        "unlimited tokens per session, only counted",
    ]


@pytest.mark.django_db
def test_questions_do_not_grow_with_the_number_of_budgets() -> None:
    alice = cast.alice()

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            budget_groups(alice.organization, alice.agent, timezone.now())
        return len(queries)

    made(alice, scope="agent", window="rolling_24h", limit=USD)
    before = asked()
    for number in range(5):
        made(alice, scope="model", scope_name=f"m-{number}", window="rolling_24h", limit=USD)
    assert asked() == before


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("terms", "own", "spent", "expected"),
    [
        ({"window": "month", "limit": 10}, True, 9, "nobody"),
        ({"window": "month", "limit": 10}, True, 10, "agent"),
        ({"window": "month", "limit": 10, "mode": "soft"}, True, 10, "nobody"),
        ({"window": "month", "limit": None}, True, 10, "nobody"),
        ({"window": "week", "limit": 10, "unit": "calls"}, True, 10, "agent"),
        ({"window": "month", "limit": 10}, False, 10, "organization"),
    ],
)
def test_what_is_used_up_beside_the_day(terms: dict[str, object], own: bool, spent: int, expected: str) -> None:
    alice = cast.alice()
    budget = made(alice, own=own, scope="agent" if own else "organization", **terms)
    Balance.objects.filter(budget=budget, practice=False).update(spent=spent)
    Balance.objects.exclude(budget=budget).update(spent=10**15)  # the day itself is no matter of this list
    found = used_up(alice.organization, timezone.now())
    assert found == {"nobody": set(), "agent": {alice.agent.id}, "organization": {None}}[expected]
    Balance.objects.filter(budget=budget).update(extra=1)
    assert used_up(alice.organization, timezone.now()) == set()


@pytest.mark.django_db
def test_a_hard_dollar_limit_over_everything_holds_an_agent_and_nothing_else_does() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    own = Budget.objects.get(agent=alice.agent, unit=Unit.USD)
    made(alice, scope="agent", window="month", limit=9, unit="calls")
    made(alice, scope="agent", window="month", limit=USD, mode=Mode.SOFT)
    made(alice, scope="model", window="month", limit=USD)
    made(charlie, own=False, scope="organization", window="month", limit=USD)
    assert unheld_without(own) == [alice.agent]
    assert widest_limit(alice.organization, alice.agent) is None
    week = made(alice, scope="agent", window="week", limit=USD)
    assert unheld_without(own) == []
    assert widest_limit(alice.organization, alice.agent) == week
    assert widest_limit(alice.organization) is None
    wide = made(alice, own=False, scope="organization", window="month", limit=USD)
    assert widest_limit(alice.organization, alice.agent) == wide
    other = budgets.create_agent(alice.organization, "second", daily_limit_pico=None, by=None)
    assert unheld_without(wide) == [other]
    assert unheld_without(week) == []
