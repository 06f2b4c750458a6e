"""Balances and rows of the book, put into the database as the ledger leaves them."""

from datetime import datetime, timedelta
from typing import Any

from accounts.ids import uuid7
from agents.models import Balance, Basis, Budget, Call, CallStatus, Scope
from proxy.errors import BudgetExceeded
from tests.cast import Person

USD = 10**12
DAY = timedelta(days=1)


def day_budget(person: Person) -> Budget:
    """The agent's daily budget."""
    return Budget.objects.get(agent=person.agent, scope=Scope.AGENT)


def midnight(at: datetime) -> datetime:
    """The beginning of the UTC day."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def spend(budget: Budget, cents: int, at: datetime, *, practice: bool = False, subject: str = "") -> Balance:
    """Set what the budget's day has spent, as the ledger would after some calls.

    cents: hundredths of a dollar, in all.
    """
    balance, _ = Balance.objects.update_or_create(
        budget=budget, subject=subject, practice=practice, window_start=midnight(at),
        defaults={"window_end": midnight(at) + DAY, "spent": cents * USD // 100, "opened_at": at},
    )  # fmt: skip
    return balance


def call(person: Person, at: datetime, **columns: Any) -> Call:
    """Add a settled call to the book; columns: what differs from a call of one cent."""
    values: dict[str, Any] = {
        "call_id": uuid7(int(at.timestamp() * 1000)), "organization_id": person.organization.id,
        "agent_id": person.agent.id, "reserved_at": at, "ended_at": at, "cost_pico": USD // 100,
        "held_pico": USD // 10, "status": CallStatus.SETTLED, "basis": Basis.USAGE, "provider": "openai",
        "model": "gpt-4o-mini", "input_tokens": 100, "output_tokens": 10,
    }  # fmt: skip
    return Call.objects.create(**(values | columns))


def refuse(person: Person, budget: Budget, at: datetime, *, spent_cents: int, asked_cents: int = 50) -> Call:
    """Add a refusal by the budget to the book as the proxy writes it, with the numbers of that moment."""
    spend(budget, spent_cents, at)
    refusal = BudgetExceeded(
        agent=person.agent.name, scope=budget.scope, name=person.agent.name, unit=budget.unit, window=budget.window,
        limit=budget.limit or 0, spent=spent_cents * USD // 100, held=0, asked=asked_cents * USD // 100,
        resets_at=midnight(at) + DAY,
    )  # fmt: skip
    return call(
        person, at, status=CallStatus.REFUSED, basis=Basis.NONE, cost_pico=0, held_pico=refusal.asked,
        reason=refusal.reason, facts=refusal.facts(), input_tokens=0, output_tokens=0,
    )  # fmt: skip
