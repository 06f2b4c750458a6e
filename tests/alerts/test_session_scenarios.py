"""What went wrong with alerts elsewhere, played on a budget per session."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import Organization
from agents import budgets
from agents.ledger import Ask, CallEnd, CallStart, Ledger
from agents.models import Agent, Budget, database_now
from alerts import delivery, raising
from alerts.models import Alert, Delivery
from alerts.thresholds import share
from tests import cast
from tests.agents.ledger_house import in_thread
from tests.alerts.books import USD, call, midnight, new_budget, use
from tests.alerts.conftest import PostOffice
from tests.cast import Person

SECOND = timedelta(seconds=1)
RUN = "run-7"


@pytest.fixture
def noon() -> datetime:
    return midnight(database_now()) + timedelta(hours=12)


def per_session(alice: Person, dollars: int = 10) -> Budget:
    return new_budget(alice, scope="session", window="session", limit=dollars * USD)


def raise_and_deliver(at: datetime) -> None:
    """What the two tasks do."""
    for delivery_id in raising.raise_alerts(at):
        delivery.deliver(delivery_id, timezone.now())


def thresholds() -> list[int]:
    return list(Alert.objects.order_by("raised_at").values_list("threshold", flat=True))


@pytest.mark.django_db
def test_a_thousand_calls_past_eighty_per_cent_send_one_mail(noon: datetime, post_office: PostOffice) -> None:
    """G1."""
    alice = cast.alice()
    budget = per_session(alice)
    balance = use(alice, budget, 8 * USD, noon, subject=RUN, session=RUN)
    for step in range(20):
        at = noon + step * SECOND
        for _ in range(50):
            call(alice, at, cost_pico=USD // 1000, balance_ids=[balance.id], session=RUN)
        balance.spent += USD // 20
        balance.save()
        raise_and_deliver(at)
    assert post_office.subjects == [
        "Session run-7 of agent support-triage has reached 80 % of its $10.00 budget for the session"
    ]


@pytest.mark.django_db
def test_a_call_that_jumps_from_forty_to_a_hundred_sends_one_mail_that_says_a_hundred(
    noon: datetime, post_office: PostOffice
) -> None:
    """G4."""
    alice = cast.alice()
    budget = per_session(alice)
    for step, dollars in enumerate((4, 6, 0)):
        use(alice, budget, dollars * USD, noon + step * SECOND, subject=RUN)
        raise_and_deliver(noon + step * SECOND)
    assert post_office.subjects == [
        "Session run-7 of agent support-triage has reached 100 % of its $10.00 budget for the session"
    ]


@pytest.mark.django_db
def test_after_a_raise_what_was_passed_is_not_repeated(noon: datetime) -> None:
    """G10: 100 % at $10, then $20: 50 % is passed, 80 and 100 are told when they are reached."""
    alice = cast.alice()
    budget = per_session(alice)
    now = database_now()
    use(alice, budget, 10 * USD, now, subject=RUN)
    raising.raise_alerts(now)
    budgets.set_limit(budget, 20 * USD, by=alice.user)
    for cents in (100, 499, 1, 399, 1):
        at = database_now() + SECOND
        use(alice, budget, cents * USD // 100, at, subject=RUN)
        raising.raise_alerts(at)
    assert thresholds() == [100, 80, 100]
    assert {alert.limit for alert in Alert.objects.all()} == {10 * USD, 20 * USD}


@pytest.mark.django_db
def test_forty_cents_of_fifteen_dollars_are_two_point_seven_per_cent_and_no_alert(noon: datetime) -> None:
    """A12."""
    alice = cast.alice()
    use(alice, per_session(alice, dollars=15), 40 * USD // 100, noon, subject=RUN)
    raising.raise_alerts(noon)
    assert share(40 * USD // 100, 15 * USD) == "2.7"
    assert Alert.objects.count() == 0


@pytest.mark.django_db(transaction=True)
async def test_fifty_calls_that_cross_together_send_one_mail(post_office: PostOffice) -> None:
    """G2, G3: the real ledger, and four workers that raise and deliver meanwhile."""
    alice = await in_thread(cast.alice, daily_limit_pico=None)
    budget = await in_thread(per_session, alice, 1)
    ledger = Ledger()
    await ledger.start()
    try:
        asks = await in_thread(lambda: [_ask(alice, budget) for _ in range(50)])
        await asyncio.gather(*(ledger.reserve(ask) for ask in asks))
        done = asyncio.gather(*(ledger.settle(ask.call_id, CallEnd(cost_pico=USD // 100)) for ask in asks))
        await asyncio.gather(done, *_workers())
        for _ in range(2):
            await asyncio.gather(*_workers())
    finally:
        await ledger.stop()
    assert post_office.subjects == [
        "Session run-7 of agent support-triage has reached 50 % of its $1.00 budget for the session"
    ]
    assert await in_thread(Delivery.objects.count) == 1


def _workers() -> list[Coroutine[Any, Any, None]]:
    return [in_thread(lambda: raise_and_deliver(database_now())) for _ in range(4)]


def _ask(alice: Person, budget: Budget) -> Ask:
    agent = Agent.objects.get(id=alice.agent.id)
    named = Budget.objects.filter(organization=alice.organization, ended_at=None)
    return Ask(
        call_id=uuid7(), organization_id=alice.organization.id, agent_id=agent.id,
        agent_version=agent.policy_version,
        organization_version=Organization.objects.values_list("policy_version", flat=True).get(
            id=alice.organization.id
        ),
        budgets=tuple((one.id, RUN if one.id == budget.id else "") for one in named),
        usd_pico=2 * USD // 100, tokens=100, deadline_seconds=60.0, start=CallStart(session=RUN),
    )  # fmt: skip
