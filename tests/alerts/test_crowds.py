"""Thousands of sessions that reach a threshold do not send thousands of mails."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from agents import budgets
from agents.models import Budget, GuardEvent, GuardRule, RuleMode, database_now
from alerts import raising
from alerts.emails import letter
from alerts.models import Alert, AlertKind, Delivery
from alerts.raising.crowds import KEPT, OWN_MESSAGES_MAX
from tests import cast
from tests.alerts.books import USD, call, midnight, new_budget, use
from tests.cast import Person

pytestmark = pytest.mark.django_db
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
COUNT = 2_000


@pytest.fixture
def noon() -> datetime:
    return midnight(database_now()) + timedelta(hours=12)


def many_sessions(alice: Person, budget: Budget, at: datetime, *, spent: int, prefix: str = "run") -> None:
    """Let so many sessions have spent this; one row of the book names all their balances."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO balance (budget_id, subject, practice, window_start, spent, held, seeded, opened_at)"
            " SELECT %s, %s || '-' || n, false, to_timestamp(0), %s, 0, 0, %s FROM generate_series(1, %s) AS n"
            " RETURNING id",
            [budget.id, prefix, spent, at, COUNT],
        )
        balance_ids = [balance_id for (balance_id,) in cursor.fetchall()]
    call(alice, at, balance_ids=balance_ids)


def per_session(alice: Person) -> Budget:
    return new_budget(alice, scope="session", window="session", limit=10 * USD)


def sent_count() -> int:
    """Messages about this; that nobody sums the book in these tests is told, too."""
    return Delivery.objects.exclude(alert__kind=AlertKind.BEHIND).count()


def sums() -> list[Alert]:
    return list(Alert.objects.filter(kind=AlertKind.MORE).order_by("window_start"))


def test_a_flood_of_sessions_sends_a_few_messages_and_one_sum_at_the_hours_end(
    noon: datetime, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    alice = cast.alice()
    many_sessions(alice, per_session(alice), noon, spent=8 * USD)
    with django_assert_max_num_queries(100):
        raising.raise_alerts(noon)
    for minutes in (1, 30, 59):
        raising.raise_alerts(noon + minutes * MINUTE)
    assert Alert.objects.filter(kind=AlertKind.THRESHOLD).count() == COUNT, "each is remembered, so none is told twice"
    assert sent_count() == OWN_MESSAGES_MAX
    assert sums() == []
    for minutes in (60, 61, 240):
        raising.raise_alerts(noon + minutes * MINUTE)
    (told,) = sums()
    assert (told.facts["count"], told.facts["by_threshold"]) == (COUNT - OWN_MESSAGES_MAX, {"80": 1_995})
    assert sent_count() == OWN_MESSAGES_MAX + 1
    written = letter(told)
    assert written.subject == "And 1,995 more alerts about sessions of agent support-triage"
    assert written.sentences[0].startswith("Between 12:00 and 13:00 (UTC) there were 1,995 more alerts")
    assert "Of their $10.00 budget for the session they reached 80 % 1,995 times." in written.sentences


def test_the_highest_thresholds_get_the_messages_of_their_own(noon: datetime) -> None:
    alice = cast.alice()
    budget = per_session(alice)
    many_sessions(alice, budget, noon, spent=5 * USD)
    use(alice, budget, 10 * USD, noon, subject="the-one")
    raising.raise_alerts(noon)
    told = Delivery.objects.values_list("alert__subject", "alert__threshold")
    assert ("the-one", 100) in told
    assert len(told) == OWN_MESSAGES_MAX


def test_the_next_hour_has_messages_of_its_own(noon: datetime) -> None:
    alice = cast.alice()
    budget = per_session(alice)
    for hours in (0, 1):
        many_sessions(alice, budget, noon + hours * HOUR, spent=8 * USD, prefix=f"at-{hours}")
        raising.raise_alerts(noon + hours * HOUR)
    raising.raise_alerts(noon + 2 * HOUR)
    assert [told.facts["count"] for told in sums()] == [1_995, 1_995]
    assert sent_count() == 2 * OWN_MESSAGES_MAX + 2


def test_a_flood_of_one_budget_takes_no_room_from_another(noon: datetime) -> None:
    alice = cast.alice()
    many_sessions(alice, per_session(alice), noon, spent=8 * USD)
    other = new_budget(alice, scope="agent_user", window="total", limit=USD)
    use(alice, other, USD, noon, subject="u-17")
    raising.raise_alerts(noon)
    assert Delivery.objects.filter(alert__budget_id=other.id).count() == 1


def test_a_few_sessions_have_no_sum(noon: datetime) -> None:
    alice = cast.alice()
    budget = per_session(alice)
    for number in range(OWN_MESSAGES_MAX):
        use(alice, budget, 8 * USD, noon, subject=f"run-{number}")
    raising.raise_alerts(noon)
    raising.raise_alerts(noon + HOUR)
    assert (sent_count(), sums()) == (OWN_MESSAGES_MAX, [])


def saw(alice: Person, rule: GuardRule, count: int, **columns: Any) -> None:
    """Let a rule have seen so many episodes."""
    agents = [
        budgets.create_agent(alice.organization, f"Scout {number}", daily_limit_pico=USD, by=alice.user)
        for number in range(1 if "session" in columns else count)
    ]
    GuardEvent.objects.bulk_create(
        GuardEvent(
            organization=alice.organization, agent=agents[number % len(agents)], rule=rule, mode=RuleMode.WARN,
            episode_at=database_now(), **{name: value(number) for name, value in columns.items()},
        )
        for number in range(count)
    )  # fmt: skip


def test_a_flood_of_growing_sessions_is_bounded_as_well() -> None:
    saw(cast.alice(), GuardRule.BLOAT, 100, session=lambda number: f"run-{number}")
    now = database_now()
    raising.raise_alerts(now)
    raising.raise_alerts(now + HOUR)
    assert sent_count() == OWN_MESSAGES_MAX + 1
    written = letter(sums()[0])
    assert written.subject == "And 95 more alerts about sessions whose context kept growing"
    assert written.sentences[-1].count(" of Scout 0") == 5


def test_a_provider_that_fails_does_not_send_a_mail_for_each_agent() -> None:
    alice = cast.alice()
    saw(alice, GuardRule.RETRIES, 12)
    now = database_now()
    for minutes in (0, 1, 60, 61):
        raising.raise_alerts(now + minutes * MINUTE)
    assert sent_count() == OWN_MESSAGES_MAX + 1
    (told,) = sums()
    assert letter(told).subject == "And 7 more alerts about agents that retried failed calls again and again"
    assert (told.agent_id, told.organization_id) == (None, alice.organization.id)


def test_one_organisations_storms_take_no_room_from_anothers() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    for person in (alice, charlie):
        saw(person, GuardRule.RETRIES, 6)
    raising.raise_alerts(database_now())
    addresses = list(Delivery.objects.values_list("address", flat=True))
    assert addresses.count(alice.user.email) == addresses.count(charlie.user.email) == OWN_MESSAGES_MAX


def test_what_had_no_message_is_forgotten_after_a_while_and_the_rest_is_kept(noon: datetime) -> None:
    alice = cast.alice()
    many_sessions(alice, per_session(alice), noon, spent=8 * USD)
    raising.raise_alerts(noon)
    for minutes in range(4):
        raising.raise_alerts(noon + KEPT + minutes * MINUTE)
    assert Alert.objects.filter(kind=AlertKind.THRESHOLD).count() == OWN_MESSAGES_MAX
