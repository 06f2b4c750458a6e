"""A4: what the rules against loops, storms and growing contexts saw, told once, whether it was stopped or not."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents.models import GuardEvent, GuardRule, RuleMode, database_now
from alerts import delivery, raising
from alerts.emails import letter
from alerts.models import Alert, AlertKind
from tests import cast
from tests.alerts.conftest import PostOffice, text_of
from tests.cast import Person

pytestmark = pytest.mark.django_db
BEGAN = datetime.fromisoformat("2026-11-25T09:00:00+00:00")
UNTIL = BEGAN + timedelta(minutes=30)


def seen(person: Person, rule: GuardRule, *, session: str = "", **facts: Any) -> GuardEvent:
    """An event as the watch or the proxy writes it."""
    return GuardEvent.objects.create(
        organization=person.organization, agent=person.agent, rule=rule, mode=RuleMode.WARN, session=session,
        episode_at=BEGAN, facts=facts,
    )  # fmt: skip


def stopped(person: Person, rule: GuardRule, *, session: str = "", **facts: Any) -> GuardEvent:
    event = seen(person, rule, session=session, **facts)
    GuardEvent.objects.filter(id=event.id).update(mode=RuleMode.BLOCK, until_at=UNTIL)
    return event


def told() -> Alert:
    raising.raise_alerts(database_now())
    return Alert.objects.get()


WARNED = [
    (
        GuardRule.REPEAT, {"model": "gpt-4o", "count": 10, "minutes": 5}, "",
        "support-triage sends the same message again and again",
        "support-triage sent gpt-4o the same last message 10 times within 5 minutes.",
    ),
    (
        GuardRule.SESSION, {"calls": 1500}, "run-7",
        "Session run-7 of agent support-triage makes very many calls",
        "Session run-7 of agent support-triage has made more than 1,500 calls.",
    ),
    (
        GuardRule.BUSY, {"hours": 8}, "",
        "support-triage has not paused for 8 hours",
        "support-triage has been calling for 8 hours without a pause of five minutes.",
    ),
    (
        GuardRule.WINDOWS, {"windows": 3}, "",
        "support-triage has used up its daily budget 3 days running",
        "support-triage has reached 100 % of its daily budget 3 days running.",
    ),
    (
        GuardRule.RETRIES, {"retries": 12, "calls": 80, "percent": 15, "cost_pico": 25 * 10**10}, "",
        "support-triage retries failed calls again and again",
        "In the last hour 12 of 80 calls (15 %) of support-triage came within a minute of a failed one.",
    ),
    (
        GuardRule.BLOAT, {"from_tokens": 4000, "to_tokens": 16000, "calls": 9}, "run-7",
        "The context of session run-7 of agent support-triage keeps growing",
        "The input of the calls of session run-7 of agent support-triage has grown from 4,000 to 16,000 tokens within"
        " 9 calls. Every further call pays for all of it.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "facts", "session", "subject", "sentence"), WARNED, ids=lambda value: str(value)[:13])
def test_what_a_rule_saw_is_told_in_plain_words(
    rule: GuardRule, facts: dict[str, Any], session: str, subject: str, sentence: str
) -> None:
    alice = cast.alice()
    seen(alice, rule, session=session, **facts)
    alert = told()
    written = letter(alert)
    assert (alert.kind, alert.agent_id, alert.organization_id) == (rule, alice.agent.id, alice.organization.id)
    assert (written.subject, written.sentences[0]) == (subject, sentence)
    assert written.sentences[-1].startswith("Nothing was stopped: this rule only warns.")
    assert [link.url for link in written.links if f"agent={alice.agent.id}" in link.url]


ENDS = "until Wednesday 25 November 2026 at 09:30 (UTC)"
# As proxies write them: with facts of their own, and for later versions perhaps with none.
BLOCKED = [
    (
        GuardRule.REPEAT,
        {"model": "gpt-4o", "count": 10, "minutes": 5},
        ENDS,
    ),
    (GuardRule.BUSY, {"hours": 3}, ENDS),
    (GuardRule.SESSION, {}, ENDS),
    (GuardRule.WINDOWS, {"windows": 3}, ENDS),
    (GuardRule.RETRIES, {"failed_count": 7, "wait_seconds": 60.0}, "held back for longer with each one that fails"),
    (GuardRule.BLOAT, {}, ENDS),
]


@pytest.mark.parametrize(("rule", "facts", "consequence"), BLOCKED, ids=lambda value: str(value)[:13])
def test_what_a_rule_stopped_says_until_when(rule: GuardRule, facts: dict[str, Any], consequence: str) -> None:
    stopped(cast.alice(), rule, **facts)
    written = letter(told())
    assert written.subject.endswith(" (stopped)")
    assert consequence in written.sentences[-1]


def test_an_episode_is_one_mail_however_often_alerts_are_raised(post_office: PostOffice) -> None:
    alice = cast.alice()
    seen(alice, GuardRule.BUSY, hours=8)
    for _ in range(3):
        for delivery_id in raising.raise_alerts(database_now()):
            delivery.deliver(delivery_id, timezone.now())
    assert post_office.subjects == ["support-triage has not paused for 8 hours"]
    assert "Open the agent's guards:" in text_of(post_office.mails[0])


def test_two_rules_that_see_the_same_minute_are_two_alerts() -> None:
    alice = cast.alice()
    for rule in (GuardRule.REPEAT, GuardRule.BUSY):
        seen(alice, rule)
    raising.raise_alerts(database_now())
    assert sorted(Alert.objects.values_list("kind", flat=True)) == [AlertKind.LOOP_BUSY, AlertKind.LOOP_REPEAT]


def test_what_the_costs_of_a_storm_are_is_told() -> None:
    seen(cast.alice(), GuardRule.RETRIES, retries=12, calls=80, percent=15, cost_pico=25 * 10**10)
    assert "These calls have cost $0.25 so far." in letter(told()).sentences


def test_that_a_provider_asked_to_wait_is_told_to_nobody() -> None:
    stopped(cast.alice(), GuardRule.HELD_BACK, provider="openai")
    raising.raise_alerts(database_now())
    assert Alert.objects.count() == 0


def test_every_rule_but_that_has_an_alert_of_its_name() -> None:
    assert {rule.value for rule in GuardRule} - {"held_back"} <= set(AlertKind.values)


def test_charlie_is_not_told_of_alices_loops() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    seen(alice, GuardRule.BUSY, hours=8)
    assert [row.address for row in told().deliveries.all()] == [alice.user.email]
    assert charlie.user.email != alice.user.email


def test_a_name_with_line_breaks_cannot_add_headers() -> None:
    alice = cast.alice()
    seen(alice, GuardRule.BLOAT, session="run\r\nBcc: eve@example.com", from_tokens=1, to_tokens=2, calls=3)
    assert "\n" not in letter(told()).subject
