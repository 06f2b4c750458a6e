"""A daily budget that is used up several days running (B8 c), and the block that may follow."""

from datetime import datetime
from typing import Any

import pytest

from agents import budgets
from agents.models import Agent, Balance, Budget, CallStatus, GuardRule, RuleMode
from agents.watch.windows import Day, running
from tests import cast
from tests.agents.watch_house import (
    DAY,
    HOUR,
    MINUTE,
    days_of_the_book,
    events,
    guard,
    look,
    look_once,
    rules,
    this_minute,
    write,
)  # fmt: skip
from tests.alerts.books import USD, midnight
from tests.cast import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    days_of_the_book(back=10)
    return this_minute()


def spent(alice: Person, cents_by_day: list[int | None], now: datetime) -> Budget:
    """Let the agent's daily budget of five dollars have spent so much, today last; None: a day without a call."""
    budget = Budget.objects.get(agent=alice.agent)
    for back, cents in enumerate(reversed(cents_by_day)):
        start = midnight(now) - back * DAY
        if cents is not None:
            Balance.objects.update_or_create(
                budget=budget, subject="", practice=False, window_start=start,
                defaults={"window_end": start + DAY, "spent": cents * USD // 100, "opened_at": start},
            )  # fmt: skip
    write(alice, [now - 5 * MINUTE])
    return budget


def refused(alice: Person, at: datetime, *, spent: str = "4.87", **facts: Any) -> None:
    values = {"scope": "agent", "window": "day", "unit": "usd", "limit": "5.000000", "spent": spent} | facts
    write(alice, [at], status=CallStatus.REFUSED, reason="budget_exceeded", cost_pico=0, facts=values)


@pytest.mark.parametrize(
    ("cents_by_day", "expected"),
    [
        ([500, 500, 500], ["loop_windows"]),
        ([500, 500, 499], []),
        ([500, 499, 500], []),
        ([499, 500, 500], []),
        ([500, None, 500, 500], []),
        ([500, 500], []),
        ([500, 500, 500, 0], []),
    ],
)
def test_a_budget_used_up_three_days_running_is_told(
    now: datetime, cents_by_day: list[int | None], expected: list[str]
) -> None:
    alice = cast.alice()
    spent(alice, cents_by_day, now)
    look_once(now)
    assert rules(alice) == expected


def test_each_further_day_is_told_once_with_its_number(now: datetime) -> None:
    alice = cast.alice()
    spent(alice, [500, 500, 500, 500], now)
    look_once(now)
    look([now, now + MINUTE])
    (event,) = events(alice)
    assert (event.mode, event.facts["windows"], event.episode_at) == (RuleMode.WARN, 4, midnight(now))


def test_a_day_on_which_a_call_was_refused_with_hardly_anything_left_counts(now: datetime) -> None:
    alice = cast.alice()
    spent(alice, [487, 487, 487], now)
    for back in (0, 1):
        refused(alice, midnight(now) - back * DAY + MINUTE)
    look_once(now)
    assert rules(alice) == [], "the first of the three days was not used up"
    refused(alice, midnight(now) - 2 * DAY + MINUTE)
    look_once(now)
    assert rules(alice) == ["loop_windows"]


def test_an_agent_whose_calls_are_all_refused_is_looked_at_as_well(now: datetime) -> None:
    """The call that shows the third day to be used up is refused, perhaps hours after the last that got through."""
    alice = cast.alice()
    spent(alice, [500, 500, 487], now)
    look([now])
    refused(alice, now + 2 * HOUR)
    Balance.objects.filter(window_start=midnight(now)).update(window_end=now + DAY)
    look([now + 2 * HOUR + MINUTE])
    assert rules(alice) == ["loop_windows"]


@pytest.mark.parametrize(
    "facts", [{"spent": "1.00"}, {"scope": "session"}, {"window": "month"}, {"spent": None}, {"limit": "much"}]
)
def test_refusals_for_other_reasons_do_not_count(now: datetime, facts: dict[str, str | None]) -> None:
    alice = cast.alice()
    spent(alice, [500, 500, 487], now)
    refused(alice, midnight(now) + MINUTE, **facts)
    look_once(now)
    assert rules(alice) == []


def test_a_limit_that_was_lowered_since_does_not_make_past_days_look_used_up(now: datetime) -> None:
    alice = cast.alice()
    budget = spent(alice, [500, 500, 500], now)
    Budget.objects.filter(id=budget.id).update(limit=10 * USD)
    budget.refresh_from_db()
    budgets.set_limit(budget, 5 * USD, by=alice.user)
    look_once(now)
    assert rules(alice) == []


def test_a_day_with_a_top_up_is_used_up_when_that_is(now: datetime) -> None:
    alice = cast.alice()
    budget = spent(alice, [500, 500, 500], now)
    Balance.objects.filter(budget=budget, window_start=midnight(now)).update(extra=USD)
    look_once(now)
    assert rules(alice) == []


@pytest.mark.parametrize("limit", [None, 0])
def test_a_budget_without_a_limit_or_of_nothing_is_never_used_up(now: datetime, limit: int | None) -> None:
    alice = cast.alice(daily_limit_pico=limit)
    spent(alice, [500, 500, 500], now)
    look_once(now)
    assert rules(alice) == []


def test_on_block_the_agent_is_blocked_for_its_very_next_call_until_its_cool_down_ends(now: datetime) -> None:
    alice, charlie = cast.alice(), cast.charlie()
    guard(alice, windows_mode=RuleMode.BLOCK, cool_down_minutes=45)
    before = Agent.objects.get(id=alice.agent.id)
    spent(alice, [500, 500, 500], now)
    look_once(now)
    agent = Agent.objects.get(id=alice.agent.id)
    assert (agent.blocked_until, agent.blocked_rule) == (now + 45 * MINUTE, GuardRule.WINDOWS)
    assert agent.policy_version > before.policy_version, "each process looks at the agent again"
    (event,) = events(alice)
    assert (event.mode, event.until_at) == (RuleMode.BLOCK, now + 45 * MINUTE)
    assert Agent.objects.get(id=charlie.agent.id).blocked_until is None


def test_an_agent_that_somebody_lets_go_on_is_not_blocked_again_on_the_same_day(now: datetime) -> None:
    alice = cast.alice()
    guard(alice, windows_mode=RuleMode.BLOCK)
    spent(alice, [500, 500, 500], now)
    look_once(now)
    Agent.objects.filter(id=alice.agent.id).update(blocked_until=None, blocked_rule="")
    write(alice, [now + HOUR])
    assert look([now + HOUR + MINUTE]) == [0]
    assert Agent.objects.get(id=alice.agent.id).blocked_until is None


def test_a_rule_that_is_off_blocks_nobody(now: datetime) -> None:
    alice = cast.alice()
    guard(alice, windows_mode=RuleMode.OFF)
    spent(alice, [500, 500, 500], now)
    look_once(now)
    assert rules(alice) == []


def test_days_are_running_where_each_begins_when_the_one_before_ends(now: datetime) -> None:
    def day(back: int, *, is_used_up: bool = True) -> Day:
        return Day(now - back * DAY, now - (back - 1) * DAY, is_used_up)

    assert running([day(0), day(1), day(2)]) == 3
    assert running([day(0), day(1), day(3)]) == 2
    assert running([day(0, is_used_up=False), day(1)]) == 0
    assert running([]) == 0
