"""Loops that cost their owners much, played again with the rules as they come (warn): one mail each, in time.

Two agents that answered each other for eleven days brought a bill of 47,000 dollars; nobody saw it before the invoice.
"""

from datetime import datetime

import pytest
from django.utils import timezone

from agents.models import database_now
from alerts import delivery, raising
from alerts.models import Alert, AlertKind
from tests import cast
from tests.agents.watch_house import (
    HOUR,
    MINUTE,
    SECOND,
    days_of_the_book,
    every,
    fail,
    look,
    this_minute,
    write,
)  # fmt: skip
from tests.alerts.conftest import PostOffice
from tests.cast import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    days_of_the_book(back=3)
    return this_minute()


def watch_and_tell(moments: list[datetime]) -> None:
    """What the tasks do while the hours pass."""
    for at in moments:
        look([at])
        for delivery_id in raising.raise_alerts(database_now()):
            delivery.deliver(delivery_id, timezone.now())


def of_guards(office: PostOffice) -> list[str]:
    """The mails; that nobody sums the book in these tests is told, too."""
    return sorted(subject for subject in office.subjects if "are behind" not in subject)


def test_two_agents_that_answer_each_other_for_half_a_day_are_told_of_once_each(
    now: datetime, post_office: PostOffice
) -> None:
    """Nothing fails, nothing repeats, no rate is reached: each answer is new and somewhat longer than the last."""
    writer, critic = cast.alice(daily_limit_pico=None), cast.charlie()
    began = now - 12 * HOUR
    for person, offset in ((writer, 0 * SECOND), (critic, MINUTE)):
        moments = [at + offset for at in every(2 * MINUTE, began, now - 2 * MINUTE)]
        write(person, moments, session="essay", input_tokens=lambda number: 1_000 + 800 * number, cost_pico=10**11)
    watch_and_tell(every(20 * MINUTE, began, now))
    assert of_guards(post_office) == [
        "The context of session essay of agent newsletter keeps growing",
        "The context of session essay of agent support-triage keeps growing",
        "newsletter has not paused for 8 hours",
        "support-triage has not paused for 8 hours",
    ]
    bloat = Alert.objects.filter(kind=AlertKind.CONTEXT_BLOAT, agent_id=writer.agent.id).get()
    assert bloat.window_start is not None
    assert bloat.window_start - began < HOUR, "told long before much is spent"


def test_an_agent_that_retries_a_failure_with_other_parameters_is_told_of_once(
    now: datetime, post_office: PostOffice
) -> None:
    """No two bodies are alike, so nothing repeats; that each follows a failure gives it away."""
    alice = cast.alice()
    fail(alice, every(20 * SECOND, now - 3 * HOUR, now), input_tokens=lambda number: 100 + number)
    watch_and_tell(every(10 * MINUTE, now - 3 * HOUR, now))
    assert of_guards(post_office) == ["support-triage retries failed calls again and again"]


def test_a_context_that_doubles_is_told_of_once(now: datetime, post_office: PostOffice) -> None:
    """An agent that appends its own answer to the next question."""
    alice = cast.alice()
    moments = every(30 * SECOND, now - 10 * MINUTE, now - 10 * MINUTE + 8 * 30 * SECOND)
    write(alice, moments, session="run-7", input_tokens=lambda number: 1_000 * 2**number)
    watch_and_tell(every(MINUTE, now - 10 * MINUTE, now))
    assert of_guards(post_office) == ["The context of session run-7 of agent support-triage keeps growing"]
    assert Alert.objects.get(kind=AlertKind.CONTEXT_BLOAT).facts["to_tokens"] <= 64_000


def test_an_agent_that_sends_one_message_for_ever_is_told_of_within_minutes(
    now: datetime, post_office: PostOffice
) -> None:
    alice = cast.alice()
    write(alice, every(7 * SECOND, now - 2 * HOUR, now), last_message_fingerprint=4711)
    watch_and_tell([now - 2 * HOUR + 2 * MINUTE])
    assert of_guards(post_office) == ["support-triage sends the same message again and again"]
    watch_and_tell(every(10 * MINUTE, now - 110 * MINUTE, now))
    assert len(of_guards(post_office)) == 1


def test_ordinary_work_of_a_day_is_told_to_nobody(now: datetime, post_office: PostOffice) -> None:
    """Different questions, a failure now and then that is tried again, sessions that grow slowly, pauses."""
    alice = cast.alice()
    for hour in range(10):
        began = now - (10 - hour) * HOUR
        _an_hour_of_work(alice, began, f"run-{hour}")
    watch_and_tell(every(15 * MINUTE, now - 10 * HOUR, now))
    assert of_guards(post_office) == []


def _an_hour_of_work(alice: Person, began: datetime, session: str) -> None:
    write(
        alice, every(30 * SECOND, began, began + 50 * MINUTE), session=session, input_tokens=lambda n: 6_000 + 150 * n
    )
    fail(alice, [began + 10 * MINUTE, began + 30 * MINUTE], session=session)
