"""Raising alerts from balances and refusals as the ledger leaves them."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts import credentials
from accounts.models import Membership, ProviderCredential, Role
from agents import budgets
from agents.models import Budget, Call, CallStatus, Mark, Mode, Scope, database_now
from alerts import raising
from alerts.models import Alert, AlertKind, Delivery
from tests import cast
from tests.alerts.books import DAY, USD, call, day_budget, midnight, refuse, spend

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture
def noon() -> datetime:
    """Noon of today, so that partitions of the book are there and no window ends meanwhile."""
    return midnight(database_now()) + timedelta(hours=12)


def told() -> list[tuple[int, str]]:
    """Every alert so far: threshold and kind, in order."""
    return [(alert.threshold, alert.kind) for alert in Alert.objects.order_by("raised_at", "threshold")]


def thresholds() -> list[int]:
    return [threshold for threshold, kind in told() if kind == AlertKind.THRESHOLD]


def test_nothing_spent_raises_nothing(noon: datetime) -> None:
    cast.alice()
    assert raising.raise_alerts(noon) == []


def test_each_threshold_is_told_once_step_by_step(noon: datetime) -> None:
    """G1, G6: whatever number of calls comes after a threshold, one alert each."""
    budget = day_budget(cast.alice())
    for step, cents in enumerate(range(0, 521, 10)):
        spend(budget, cents, noon)
        raising.raise_alerts(noon + step * SECOND)
    assert thresholds() == [50, 80, 100]
    assert [alert.facts["spent"] for alert in Alert.objects.order_by("raised_at")] == [
        USD * 5 // 2, USD * 4, USD * 5,
    ]  # fmt: skip


def test_a_jump_from_forty_to_a_hundred_is_one_alert_with_the_highest(noon: datetime) -> None:
    """G4."""
    budget = day_budget(cast.alice())
    spend(budget, 200, noon)
    raising.raise_alerts(noon)
    spend(budget, 510, noon)
    raising.raise_alerts(noon + SECOND)
    raising.raise_alerts(noon + 2 * SECOND)
    assert thresholds() == [100]


def test_no_lower_threshold_follows_a_higher_one(noon: datetime) -> None:
    """G3: a correction that lowers what was spent brings no second message."""
    budget = day_budget(cast.alice())
    for step, cents in enumerate((420, 300, 420, 260)):
        spend(budget, cents, noon)
        raising.raise_alerts(noon + step * SECOND)
    assert thresholds() == [80]


def test_a_new_window_arms_every_threshold(noon: datetime) -> None:
    budget = day_budget(cast.alice())
    spend(budget, 300, noon - DAY)
    raising.raise_alerts(noon - DAY)
    spend(budget, 300, noon)
    raising.raise_alerts(noon)
    assert thresholds() == [50, 50]


def test_a_threshold_crossed_in_the_last_second_of_a_window_is_told_afterwards(noon: datetime) -> None:
    budget = day_budget(cast.alice())
    spend(budget, 500, noon - DAY)
    raising.raise_alerts(midnight(noon) + timedelta(hours=1))
    assert thresholds() == [100]


def test_a_window_that_is_long_over_is_not_told(noon: datetime) -> None:
    budget = day_budget(cast.alice())
    spend(budget, 500, noon - DAY)
    raising.raise_alerts(noon)
    assert thresholds() == []


def test_practice_money_raises_nothing(noon: datetime) -> None:
    spend(day_budget(cast.alice()), 500, noon, practice=True)
    raising.raise_alerts(noon)
    assert told() == []


@pytest.mark.parametrize("limit", [None, 0])
def test_a_budget_without_a_limit_or_of_nothing_raises_nothing(noon: datetime, limit: int | None) -> None:
    budget = day_budget(cast.alice(daily_limit_pico=limit))
    spend(budget, 500, noon)
    raising.raise_alerts(noon)
    assert told() == []


def test_an_ended_budget_raises_nothing(noon: datetime) -> None:
    budget = day_budget(cast.alice())
    spend(budget, 500, noon)
    Budget.objects.filter(id=budget.id).update(ended_at=noon)
    raising.raise_alerts(noon)
    assert told() == []


def test_a_soft_budget_alerts_too(noon: datetime) -> None:
    budget = day_budget(cast.alice())
    Budget.objects.filter(id=budget.id).update(mode=Mode.SOFT)
    spend(budget, 900, noon)
    raising.raise_alerts(noon)
    assert thresholds() == [100]


def test_thresholds_of_the_budget_itself_are_used(noon: datetime) -> None:
    budget = day_budget(cast.alice())
    Budget.objects.filter(id=budget.id).update(thresholds=[90, 25])
    for step, cents in enumerate((120, 125, 449, 450, 500)):
        spend(budget, cents, noon)
        raising.raise_alerts(noon + step * SECOND)
    assert thresholds() == [25, 90]


def test_the_largest_limit_does_not_overflow(noon: datetime) -> None:
    budget = day_budget(cast.alice(daily_limit_pico=9_000_000 * USD))
    spend(budget, 450_000_000, noon)
    raising.raise_alerts(noon)
    assert thresholds() == [50]


def test_after_a_raise_what_is_already_reached_is_not_repeated(noon: datetime) -> None:
    """G10: 100 % at $10, then $20: 50 % is passed, 80 and 100 are told when they are reached."""
    alice = cast.alice(daily_limit_pico=10 * USD)
    budget = day_budget(alice)
    spend(budget, 1000, noon)
    raising.raise_alerts(noon)
    budgets.set_limit(budget, 20 * USD, by=alice.user)
    before = 1000
    for step, cents in enumerate((1000, 1599, 1600, 1999, 2000)):
        balance = spend(budget, cents, noon)
        call(alice, noon, cost_pico=(cents - before) * USD // 100, balance_ids=[balance.id], ended_at=noon + DAY / 2)
        before = cents
        raising.raise_alerts(noon + (step + 1) * SECOND)
    assert thresholds() == [100, 80, 100]


def test_money_spent_between_the_last_message_and_the_raise_counts_as_told(noon: datetime) -> None:
    """A2: told at 52 %, $3.50 spent, raised to $6: its 50 % was reached before the raise."""
    alice = cast.alice()
    budget = day_budget(alice)
    now = database_now()
    balance = spend(budget, 260, now)
    raising.raise_alerts(now)
    call(alice, now, cost_pico=USD * 350 // 100, balance_ids=[balance.id], ended_at=now - SECOND)
    spend(budget, 350, now)
    budgets.set_limit(budget, 6 * USD, by=alice.user)
    raising.raise_alerts(now + SECOND)
    assert thresholds() == [50]
    spend(budget, 480, now)
    raising.raise_alerts(now + 2 * SECOND)
    assert thresholds() == [50, 80]


def test_money_spent_after_the_raise_arms_its_thresholds(noon: datetime) -> None:
    """A2: told at 52 %, raised to $8 at once, then $4.20 spent: 50 % of the new limit is news."""
    alice = cast.alice()
    budget = day_budget(alice)
    now = database_now()
    balance = spend(budget, 260, now)
    raising.raise_alerts(now)
    call(alice, now, cost_pico=USD * 260 // 100, balance_ids=[balance.id], ended_at=now - SECOND)
    budgets.set_limit(budget, 8 * USD, by=alice.user)
    call(alice, now, cost_pico=USD * 160 // 100, balance_ids=[balance.id], ended_at=now + DAY / 24)
    spend(budget, 420, now)
    raising.raise_alerts(now + SECOND)
    assert thresholds() == [50, 50]


def test_lowering_the_limit_below_what_is_spent_tells_a_hundred(noon: datetime) -> None:
    alice = cast.alice(daily_limit_pico=10 * USD)
    budget = day_budget(alice)
    spend(budget, 820, noon)
    raising.raise_alerts(noon)
    budgets.set_limit(budget, 9 * USD, by=alice.user)
    raising.raise_alerts(noon + SECOND)
    assert thresholds() == [80]
    budgets.set_limit(budget, 8 * USD, by=alice.user)
    raising.raise_alerts(noon + 2 * SECOND)
    assert thresholds() == [80, 100]


def test_a_refusal_at_eighty_per_cent_or_more_counts_as_a_hundred(noon: datetime) -> None:
    alice = cast.alice()
    budget = day_budget(alice)
    spend(budget, 487, noon)
    refuse(alice, budget, noon, spent_cents=487)
    raising.raise_alerts(noon)
    raising.raise_alerts(noon + SECOND)
    alert = Alert.objects.get()
    assert (alert.threshold, alert.kind) == (100, AlertKind.THRESHOLD)
    assert alert.facts["refused_at"] == 487 * USD // 100
    spend(budget, 500, noon)
    raising.raise_alerts(noon + 2 * SECOND)
    assert Alert.objects.count() == 1


def test_a_refusal_below_eighty_per_cent_says_that_the_call_was_too_large_once(noon: datetime) -> None:
    alice = cast.alice()
    budget = day_budget(alice)
    spend(budget, 100, noon)
    for step in range(3):
        refuse(alice, budget, noon + step * SECOND, spent_cents=100, asked_cents=450)
        raising.raise_alerts(noon + step * SECOND)
    assert told() == [(0, AlertKind.TOO_LARGE)]
    spend(budget, 480, noon)
    refuse(alice, budget, noon + 4 * SECOND, spent_cents=480)
    raising.raise_alerts(noon + 4 * SECOND)
    assert told() == [(0, AlertKind.TOO_LARGE), (100, AlertKind.THRESHOLD)]


def test_a_refusal_before_the_first_settled_call_is_told(noon: datetime) -> None:
    alice = cast.alice()
    refuse(alice, day_budget(alice), noon, spent_cents=0, asked_cents=499)
    raising.raise_alerts(noon)
    assert told() == [(0, AlertKind.TOO_LARGE)]


def test_a_refusal_of_a_limit_that_was_raised_since_is_not_told(noon: datetime) -> None:
    alice = cast.alice()
    budget = day_budget(alice)
    spend(budget, 487, noon)
    refuse(alice, budget, noon, spent_cents=487)
    budgets.set_limit(budget, 20 * USD, by=alice.user)
    raising.raise_alerts(noon)
    assert told() == []


def test_refusals_of_the_time_while_nothing_ran_are_made_up(noon: datetime) -> None:
    alice = cast.alice()
    budget = day_budget(alice)
    raising.raise_alerts(noon - timedelta(hours=3))
    spend(budget, 450, noon)
    refuse(alice, budget, noon - timedelta(hours=2), spent_cents=450)
    raising.raise_alerts(noon)
    assert (100, AlertKind.THRESHOLD) in told()


def test_owners_admins_and_the_agents_creator_are_told_and_nobody_else(noon: datetime) -> None:
    alice = cast.alice()
    bob, vera = cast.bob(alice), cast.vera(alice)
    charlie = cast.charlie()
    spend(day_budget(alice), 300, noon)
    raising.raise_alerts(noon)
    assert addressed() == [alice.user.email]
    Membership.objects.filter(user=vera.user).update(role=Role.ADMIN)
    alice.agent.created_by = bob.user
    alice.agent.save()
    spend(day_budget(alice), 400, noon)
    raising.raise_alerts(noon + SECOND)
    assert addressed()[1:] == [alice.user.email, bob.user.email, vera.user.email]
    assert charlie.user.email not in addressed()


def test_a_creator_who_left_is_not_told(noon: datetime) -> None:
    alice = cast.alice()
    charlie = cast.charlie()
    alice.agent.created_by = charlie.user
    alice.agent.save()
    spend(day_budget(alice), 300, noon)
    raising.raise_alerts(noon)
    assert addressed() == [alice.user.email]


def addressed() -> list[str]:
    return list(Delivery.objects.order_by("alert__raised_at", "address").values_list("address", flat=True))


def test_an_organisations_budget_alerts_as_well(noon: datetime) -> None:
    alice = cast.alice()
    budget = Budget.objects.get(organization=alice.organization, scope=Scope.ORGANIZATION)
    Budget.objects.filter(id=budget.id).update(limit=100 * USD)
    budget.refresh_from_db()
    spend(budget, 9000, noon)
    raising.raise_alerts(noon)
    alert = Alert.objects.get()
    assert (alert.agent_id, alert.threshold, alert.facts["organization"]) == (None, 80, "Acme Robotics")


def test_the_rate_is_what_the_agent_spent_in_the_last_hour(noon: datetime) -> None:
    alice = cast.alice()
    for minutes in (5, 30, 70):
        call(alice, noon - timedelta(minutes=minutes), cost_pico=USD)
    spend(day_budget(alice), 300, noon)
    raising.raise_alerts(noon)
    assert Alert.objects.get().facts["rate_pico_per_hour"] == 2 * USD


def test_a_call_above_its_ceiling_is_told_once_for_agent_model_and_day(noon: datetime) -> None:
    alice = cast.alice()
    for step in range(3):
        call(alice, noon + step * SECOND, cost_pico=USD, held_pico=USD // 2)
        raising.raise_alerts(noon + (step + 1) * SECOND)
    alert = Alert.objects.get()
    assert (alert.kind, alert.facts["cost_pico"]) == (AlertKind.OVERRUN, USD)


def test_a_late_settle_above_the_ceiling_is_told(noon: datetime) -> None:
    alice = cast.alice()
    expired = call(alice, noon, status=CallStatus.EXPIRED, cost_pico=USD, held_pico=USD)
    call(
        alice, noon, call_id=expired.call_id, seq=1, status=CallStatus.CORRECTED, reason="late_settle",
        cost_pico=USD // 4, held_pico=0,
    )  # fmt: skip
    raising.raise_alerts(noon + SECOND)
    facts = Alert.objects.get(kind=AlertKind.OVERRUN).facts
    assert (facts["cost_pico"], facts["held_pico"]) == (USD * 5 // 4, USD)


def test_a_rejected_provider_key_is_told_once_for_each_key(noon: datetime) -> None:
    alice = cast.alice()
    for step in range(2):
        credentials.connect(alice.organization, "openai", f"sk-secret-{step:04}", by=alice.user)
        ProviderCredential.objects.update(created_at=noon + (step * 10 - 5) * SECOND)
        for _ in range(3):
            rejected_call(alice, noon + step * 10 * SECOND)
            raising.raise_alerts(noon + step * 10 * SECOND)
    assert [alert.facts["key_hint"] for alert in Alert.objects.order_by("id")] == ["0000", "0001"]


def test_a_key_that_replaced_a_rejected_one_is_not_blamed(noon: datetime) -> None:
    alice = cast.alice()
    rejected_call(alice, noon)
    credentials.connect(alice.organization, "openai", "sk-secret-new", by=alice.user)
    ProviderCredential.objects.update(created_at=noon + SECOND)
    raising.raise_alerts(noon + 2 * SECOND)
    assert told() == []
    assert ProviderCredential.objects.get().rejected_at is None


def rejected_call(alice: cast.Person, at: datetime) -> None:
    call(alice, at, status=CallStatus.VOIDED, reason="provider_key_rejected", provider="openai", http_status=401)


def test_calls_that_waited_long_to_be_summed_are_told_once_a_day(noon: datetime) -> None:
    alice = cast.alice()
    cast.charlie()
    Mark.move("sums", noon - timedelta(minutes=40))
    call(alice, noon - timedelta(minutes=30))
    for step in range(3):
        raising.raise_alerts(noon + step * SECOND)
    alert = Alert.objects.get()
    assert (alert.kind, alert.organization_id, alert.facts["what"]) == (
        AlertKind.BEHIND, alice.organization.id, "sums",
    )  # fmt: skip


def test_a_quiet_night_is_not_taken_for_being_behind(noon: datetime) -> None:
    cast.alice()
    Mark.move("sums", noon - timedelta(hours=9))
    Mark.move("alerts", noon - timedelta(hours=9))
    raising.raise_alerts(noon)
    assert told() == []


def test_odd_refusals_do_not_keep_others_alerts_from_being_raised(noon: datetime) -> None:
    alice = cast.alice()
    budget = day_budget(alice)
    refuse(alice, budget, noon, spent_cents=300)
    good = Call.objects.get().facts
    assert good is not None
    for facts in (None, {"limit": 5}, good | {"limit": "much"}, good | {"spent": None}, good | {"resets_at": "soon"}):
        call(alice, noon, status=CallStatus.REFUSED, reason="budget_exceeded", cost_pico=0, facts=facts)
    raising.raise_alerts(noon + SECOND)
    assert thresholds() == [50]
    assert (0, AlertKind.TOO_LARGE) not in told()[1:]


def test_facts_are_kept_as_they_were(noon: datetime) -> None:
    alice = cast.alice()
    spend(day_budget(alice), 410, noon)
    raising.raise_alerts(noon)
    alice.agent.name = "renamed"
    alice.agent.save()
    facts: dict[str, Any] = Alert.objects.get().facts
    assert (facts["agent"], facts["limit"], facts["spent"]) == ("support-triage", 5 * USD, USD * 410 // 100)
