"""A1 for every kind of budget: per session, user, model or sub-agent; in dollars, tokens or calls; over any window."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from agents import budgets
from agents.models import Balance, Budget, Mode, Scope, Unit, database_now
from alerts import raising
from alerts.emails import letter
from alerts.models import Alert, AlertKind
from tests import cast
from tests.alerts.books import DAY, USD, midnight, new_budget, refuse_subject, spend, use

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture
def noon() -> datetime:
    return midnight(database_now()) + timedelta(hours=12)


@dataclass(frozen=True)
class Kind:
    """A kind of budget, and what is written when 40 of its 50 are used."""

    terms: dict[str, Any]
    subject: str
    written: str
    unit: int = 1
    within_agent: bool = True


def kind(scope: str, unit: str, window: str, subject: str, written: str, **more: Any) -> Kind:
    terms = {"scope": scope, "unit": unit, "window": window, "limit": 50 * USD if unit == "usd" else 50}
    return Kind(terms, subject, written, USD if unit == "usd" else 1, **more)


KINDS = [
    kind("session", "calls", "session", "run-7", "Session run-7 of agent support-triage has used 40 of 50 calls"),
    kind(
        "session", "usd", "session", "run-7",
        "Session run-7 of agent support-triage has reached 80 % of its $50.00 budget for the session",
    ),
    kind(
        "session", "calls", "day", "-",
        "Agent support-triage in calls without a session has used 40 of 50 calls today",
    ),
    kind(
        "session", "tokens", "session", "run-7", "Session run-7 of Acme Robotics has used 40 of 50 tokens",
        within_agent=False,
    ),
    kind(
        "user", "tokens", "day", "u-17", "User u-17 of Acme Robotics has used 40 of 50 tokens today",
        within_agent=False,
    ),
    kind(
        "agent_user", "usd", "week", "u-17",
        "User u-17 of agent support-triage has reached 80 % of its $50.00 weekly budget",
    ),
    kind(
        "model", "calls", "month", "gpt-4o",
        "Agent support-triage on model gpt-4o has used 40 of 50 calls this month",
    ),
    kind(
        "sub_agent", "usd", "total", "critic",
        "Sub-agent critic of agent support-triage has reached 80 % of its $50.00 total budget",
    ),
    kind("agent", "tokens", "rolling_24h", "", "support-triage has used 40 of 50 tokens within 24 hours"),
    kind("agent", "usd", "rolling_24h", "", "support-triage has reached 80 % of its $50.00 budget for 24 hours"),
    kind("organization", "calls", "total", "", "Acme Robotics has used 40 of 50 calls in all", within_agent=False),
]  # fmt: skip


@pytest.mark.parametrize("mode", Mode.values)
@pytest.mark.parametrize("case", KINDS, ids=lambda case: f"{case.terms['scope']}-{case.terms['window']}")
def test_every_kind_of_budget_tells_fifty_eighty_and_a_hundred_once(noon: datetime, case: Kind, mode: str) -> None:
    """A1."""
    alice = cast.alice()
    budget = new_budget(alice, within_agent=case.within_agent, mode=mode, **case.terms)
    for step, (amount, expected) in enumerate([(24, []), (1, [50]), (15, [50, 80]), (5, [50, 80]), (9, [50, 80, 100])]):
        at = noon + step * SECOND
        use(alice, budget, amount * case.unit, at, subject=case.subject)
        for _ in range(2):
            raising.raise_alerts(at)
        assert [alert.threshold for alert in alerts_of(budget)] == expected
    assert letter(alerts_of(budget)[1]).subject == case.written
    assert {alert.subject for alert in alerts_of(budget)} == {case.subject}


def alerts_of(budget: Budget) -> list[Alert]:
    return list(Alert.objects.filter(budget_id=budget.id).order_by("raised_at"))


def sentences(alert: Alert) -> str:
    return " ".join(letter(alert).sentences)


def test_the_mail_names_unit_window_and_what_follows_in_plain_words(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="session", unit="calls", window="session", limit=50)
    use(alice, budget, 40, noon, subject="run-7", session="run-7", cost_pico=USD)
    raising.raise_alerts(noon)
    (alert,) = alerts_of(budget)
    assert letter(alert).sentences == [
        "Session run-7 of agent support-triage has used 40 of 50 calls (80 %).",
        "When it is used up, calls are refused before they reach the provider.",
        "The budget lasts as long as the session; other sessions have their own.",
    ]
    assert [link.url.split("/calls/?")[1] for link in letter(alert).links if "/calls/" in link.url] == [
        f"agent={alice.agent.id}&session=run-7"
    ]


def test_the_rate_of_a_session_is_its_own(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="session", window="session", limit=10 * USD)
    before = noon - timedelta(minutes=30)
    use(alice, budget, 6 * USD, before, subject="run-7", session="run-7")
    use(alice, budget, 4 * USD, before, subject="run-8", session="run-8")
    raising.raise_alerts(before)
    assert {alert.subject: alert.facts["rate_pico_per_hour"] for alert in alerts_of(budget)} == {"run-7": 0}
    use(alice, budget, 2 * USD, noon, subject="run-7", session="run-7")
    raising.raise_alerts(noon)
    assert "In the last hour it spent $6.00; at that rate the rest lasts 20 min." in sentences(alerts_of(budget)[-1])


def test_each_session_is_told_for_itself(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="session", unit="calls", window="session", limit=2)
    for name, count in (("one", 1), ("two", 2), ("three", 0)):
        use(alice, budget, count, noon, subject=name)
    raising.raise_alerts(noon)
    assert {(alert.subject, alert.threshold) for alert in alerts_of(budget)} == {("one", 50), ("two", 100)}


def test_calls_at_a_time_never_alert(noon: datetime) -> None:
    alice = cast.alice()
    budget = budgets.add_budget(
        Budget(
            organization=alice.organization, agent=alice.agent, scope=Scope.AGENT, unit=Unit.PARALLEL, window="total",
            limit=2,
        ),
        None,
    )  # fmt: skip
    Balance.objects.filter(budget=budget).update(spent=2, held=2)
    raising.raise_alerts(noon)
    assert alerts_of(budget) == []


def test_a_session_at_rest_is_not_told_of_an_edit_and_its_next_call_is(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="session", window="session", limit=100 * USD)
    use(alice, budget, 10 * USD, noon, subject="run-7")
    raising.raise_alerts(noon)
    raising.raise_alerts(noon + timedelta(minutes=4))
    budgets.set_limit(budget, 10 * USD, by=alice.user)
    raising.raise_alerts(noon + timedelta(minutes=5))
    assert alerts_of(budget) == []
    use(alice, budget, 1, noon + timedelta(minutes=6), subject="run-7")
    raising.raise_alerts(noon + timedelta(minutes=6))
    assert [alert.threshold for alert in alerts_of(budget)] == [100]


def test_a_session_that_was_reset_begins_anew(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="session", unit="calls", window="session", limit=2)
    use(alice, budget, 2, noon - SECOND, subject="run-7")
    raising.raise_alerts(noon - SECOND)
    Balance.objects.filter(budget=budget).update(window_end=noon)
    use(alice, budget, 1, noon + SECOND, subject="run-7")
    raising.raise_alerts(noon + SECOND)
    assert [alert.threshold for alert in alerts_of(budget)] == [100, 50]


@pytest.mark.parametrize("within_agent", [True, False])
def test_a_refusal_of_a_session_at_eighty_per_cent_counts_as_a_hundred_for_that_session(
    noon: datetime, within_agent: bool
) -> None:
    alice = cast.alice()
    budget = new_budget(alice, within_agent=within_agent, scope="session", window="session", limit=5 * USD)
    before = noon - timedelta(minutes=5)
    one, _ = (use(alice, budget, 487 * USD // 100, before, subject=name) for name in ("run-7", "run-8"))
    raising.raise_alerts(before)
    refuse_subject(alice, one, noon, spent=487 * USD // 100, asked=USD)
    raising.raise_alerts(noon)
    raising.raise_alerts(noon + SECOND)
    told = [(alert.subject, alert.threshold) for alert in alerts_of(budget)]
    assert sorted(told) == [("run-7", 80), ("run-7", 100), ("run-8", 80)]
    refused = Alert.objects.get(threshold=100)
    whose = "agent support-triage" if within_agent else "Acme Robotics"
    assert letter(refused).subject == (
        f"Session run-7 of {whose} was refused at $4.87 of its $5.00 budget for the session"
    )


def test_a_refusal_of_a_user_below_eighty_per_cent_is_a_call_too_large_once(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="agent_user", unit="tokens", window="day", limit=1000)
    balance = use(alice, budget, 100, noon, subject="u-17")
    for step in range(3):
        refuse_subject(alice, balance, noon + step * SECOND, spent=100, asked=950)
        raising.raise_alerts(noon + step * SECOND)
    (alert,) = alerts_of(budget)
    assert (alert.kind, alert.subject) == (AlertKind.TOO_LARGE, "u-17")
    assert "A call that could use up to 950 tokens was refused at 100 of 1,000 tokens." in sentences(alert)


def test_a_budget_for_one_named_user_is_told_with_its_name(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="agent_user", scope_name="u-17", window="total", limit=5 * USD)
    balance = use(alice, budget, 4 * USD, noon)
    raising.raise_alerts(noon)
    refuse_subject(alice, balance, noon, spent=4 * USD, asked=2 * USD)
    raising.raise_alerts(noon + SECOND)
    assert [alert.threshold for alert in alerts_of(budget)] == [80, 100]
    assert letter(alerts_of(budget)[0]).subject == (
        "User u-17 of agent support-triage has reached 80 % of its $5.00 total budget"
    )


def test_practice_sessions_are_not_told(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="session", window="session", limit=5 * USD)
    balance = use(alice, budget, 5 * USD, noon, subject="run-7", practice=True)
    Balance.objects.filter(id=balance.id).update(practice=True)
    raising.raise_alerts(noon)
    assert alerts_of(budget) == []


def test_charlies_sessions_of_the_same_name_are_his_own(noon: datetime) -> None:
    alice, charlie = cast.alice(), cast.charlie()
    budget = new_budget(alice, scope="session", window="session", limit=5 * USD)
    his = new_budget(charlie, scope="session", window="session", limit=5 * USD)
    use(charlie, his, 5 * USD, noon, subject="run-7")
    raising.raise_alerts(noon)
    assert alerts_of(budget) == []
    (alert,) = alerts_of(his)
    assert alert.organization_id == charlie.organization.id
    assert [row.address for row in alert.deliveries.all()] == [charlie.user.email]


def test_a_top_up_raises_the_limit_of_this_window_and_arms_what_is_not_reached(noon: datetime) -> None:
    """A2, B6: told 100 % at $5, topped up by $5: 50 % is passed, 80 % comes at $8. Tomorrow 50 % is $2.50 again."""
    alice = cast.alice()
    budget = alice.agent.budgets.get()
    now = database_now()
    use(alice, budget, 5 * USD, now)
    raising.raise_alerts(now)
    budgets.top_up(budget, 5 * USD, by=alice.user)
    later = database_now()
    raising.raise_alerts(later)
    assert [alert.threshold for alert in alerts_of(budget)] == [100]
    use(alice, budget, 3 * USD, later, ended_at=later + SECOND)
    raising.raise_alerts(later + SECOND)
    assert [alert.threshold for alert in alerts_of(budget)] == [100, 80]
    assert "has spent $8.00 of its $10.00 daily budget (80 %). The limit includes $5.00" in sentences(
        alerts_of(budget)[1]
    )
    spend(budget, 250, now + DAY)
    raising.raise_alerts(now + DAY)
    assert [alert.threshold for alert in alerts_of(budget)] == [100, 80, 50]


def test_the_alert_of_a_used_up_budget_links_to_the_top_up(noon: datetime) -> None:
    """B6."""
    alice = cast.alice()
    spend(alice.agent.budgets.get(), 500, noon)
    raising.raise_alerts(noon)
    link = letter(Alert.objects.get()).links[0]
    assert (link.label, link.url.rsplit("/", 1)[1]) == ("Top up or raise the limit", "#top-up")
    assert f"/agents/{alice.agent.id}/" in link.url


@pytest.mark.parametrize(
    ("terms", "label", "end"),
    [
        ({"scope": "agent", "window": "month"}, "Top up or raise the limit", "/#top-up"),
        ({"scope": "agent", "window": "rolling_24h"}, "Raise the limit", "/"),
        ({"scope": "session", "window": "session"}, "Raise the limit", "/"),
    ],
)
def test_the_alert_of_another_budget_links_to_that_budgets_page(
    noon: datetime, client: Client, terms: dict[str, str], label: str, end: str
) -> None:
    alice = cast.alice()
    budget = new_budget(alice, limit=5 * USD, **terms)
    use(alice, budget, 5 * USD, noon, subject="run-7" if terms["scope"] == "session" else "")
    raising.raise_alerts(noon)
    link = letter(Alert.objects.get()).links[0]
    assert (link.label, link.url.split("/budgets/")[1]) == (label, f"{budget.id}{end}")
    client.force_login(alice.user)
    shown = client.get(f"/budgets/{budget.id}/").content.decode()
    assert ('id="top-up"' in shown) is ("Top up" in label), "the page has what the link leads to"


def test_a_rolling_budget_counts_the_last_day_and_not_all_times(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="agent", unit="calls", window="rolling_24h", limit=10)
    for hours in (40, 30):
        use(alice, budget, 5, noon - timedelta(hours=hours), ended_at=noon - timedelta(hours=hours))
    use(alice, budget, 4, noon)
    raising.raise_alerts(noon)
    assert alerts_of(budget) == []
    use(alice, budget, 1, noon)
    raising.raise_alerts(noon + SECOND)
    (alert,) = alerts_of(budget)
    assert (alert.threshold, alert.facts["spent"], alert.window_end) == (50, 5, None)
    assert "room comes back hour by hour, first on" in sentences(alert)


def test_a_rolling_budget_is_told_once_though_midnight_passes_and_again_when_it_has_emptied(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="agent", unit="calls", window="rolling_24h", limit=10)
    evening = midnight(noon) - timedelta(minutes=10)
    use(alice, budget, 8, evening)
    for hours in (0, 1, 12, 24):
        raising.raise_alerts(evening + timedelta(hours=hours))
    assert [alert.threshold for alert in alerts_of(budget)] == [80]
    tomorrow = evening + timedelta(hours=26)
    use(alice, budget, 5, tomorrow, ended_at=tomorrow)
    raising.raise_alerts(tomorrow)
    assert [alert.threshold for alert in alerts_of(budget)] == [80, 50]


def test_a_raise_of_a_rolling_budget_arms_what_was_not_reached(noon: datetime) -> None:
    """A2."""
    alice = cast.alice()
    budget = new_budget(alice, scope="agent", window="rolling_24h", limit=10 * USD)
    now = database_now()
    use(alice, budget, 52 * USD // 10, now)
    raising.raise_alerts(now)
    use(alice, budget, 18 * USD // 10, now)
    budgets.set_limit(budget, 12 * USD, by=alice.user)
    later = database_now()
    raising.raise_alerts(later)
    assert [alert.threshold for alert in alerts_of(budget)] == [50], "$7.00 were 50 % of $12.00 before the raise"
    use(alice, budget, 26 * USD // 10, later, ended_at=later + SECOND)
    raising.raise_alerts(later + SECOND)
    assert [alert.threshold for alert in alerts_of(budget)] == [50, 80]


def test_a_refusal_of_a_rolling_budget_counts_like_any(noon: datetime) -> None:
    alice = cast.alice()
    budget = new_budget(alice, scope="agent", window="rolling_24h", limit=5 * USD)
    balance = use(alice, budget, 487 * USD // 100, noon)
    refuse_subject(alice, balance, noon, spent=487 * USD // 100, asked=USD)
    raising.raise_alerts(noon)
    (alert,) = alerts_of(budget)
    assert alert.threshold == 100
    assert letter(alert).subject == "support-triage was refused at $4.87 of its $5.00 budget for 24 hours"
    assert "until there is room again or you raise the limit" in sentences(alert)
