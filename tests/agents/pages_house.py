"""Calls in the book with their balances, as the ledger leaves them, and browsers of the cast."""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import F
from django.test import Client
from django.utils import timezone

from accounts.ids import uuid7
from agents.models import Agent, Balance, Budget, Call, CallStatus
from agents.money import PICO_PER_USD
from agents.windows import window_of
from tests import cast

CENT = PICO_PER_USD // 100


def browser(person: cast.Person) -> Client:
    """A signed-in browser."""
    client = Client()
    client.force_login(person.user)
    return client


def book_call(
    person: cast.Person, at: datetime | None = None, *, agent: Agent | None = None, cost_pico: int = CENT, **fields: Any
) -> Call:
    """Write a finished call and move the balances of its windows."""
    at = at or timezone.now() - timedelta(seconds=1)
    agent = agent or person.agent
    values: dict[str, Any] = {
        "call_id": uuid7(int(at.timestamp() * 1000)), "organization_id": person.organization.id, "agent_id": agent.id,
        "reserved_at": at, "ended_at": at, "status": CallStatus.SETTLED, "provider": "openai", "model": "gpt-4o-mini",
        "cost_pico": cost_pico, "held_pico": cost_pico * 2, "input_tokens": 1000, "output_tokens": 50,
    }  # fmt: skip
    call = Call.objects.create(**values | fields)
    if not call.practice and call.cost_pico:
        _spend(person, agent, call)
    return call


def refuse_call(person: cast.Person, at: datetime | None = None, *, asked_pico: int = CENT, **fields: Any) -> Call:
    """Write a refusal by the agent's budget; a flood's row carries the sum, as the ledger writes it.

    asked_pico: what each refused call asked for.
    """
    held_pico = asked_pico * fields.get("repeat_count", 1)
    values = {"status": CallStatus.REFUSED, "reason": "budget_exceeded", "http_status": 429, "held_pico": held_pico}
    return book_call(person, at, cost_pico=0, **values | fields)


def _spend(person: cast.Person, agent: Agent, call: Call) -> None:
    span = window_of("day", person.organization.time_zone, call.reserved_at)
    budgets = Budget.objects.filter(organization=person.organization, window="day", unit="usd", ended_at=None)
    for budget in budgets.filter(agent=None) | budgets.filter(agent=agent):
        balance, _ = Balance.objects.get_or_create(
            budget=budget, subject="", practice=False, window_start=span.start,
            defaults={"window_end": span.end, "opened_at": span.start},
        )  # fmt: skip
        Balance.objects.filter(id=balance.id).update(spent=F("spent") + call.cost_pico)
