"""Balances and rows of the book, put into the database as the ledger leaves them."""

from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import F

from accounts.ids import uuid7
from agents import budgets
from agents.budget_terms import BudgetTerms
from agents.models import Balance, Basis, Budget, Call, CallStatus, Scope, Unit
from proxy.errors import BudgetExceeded
from tests.cast import Person

USD = 10**12
DAY = timedelta(days=1)
_CHARGED = {Unit.USD: "cost_pico", Unit.TOKENS: "tokens", Unit.CALLS: "counted"}


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


def new_budget(person: Person, *, within_agent: bool = True, **terms: Any) -> Budget:
    """Add a budget as somebody asks for it; terms: of BudgetTerms."""
    agent = person.agent if within_agent else None
    return budgets.create_budget(person.organization, agent, BudgetTerms(**terms), by=person.user)


def use(person: Person, budget: Budget, amount: int, at: datetime, *, subject: str = "", **columns: Any) -> Balance:
    """Let a call be charged so much of a budget's unit: its balance moves and it is in the book, as by the ledger.

    amount: pico-dollars, tokens or calls; subject: the session, user, model or sub-agent.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT balance_id FROM ledger_open_balances(ARRAY[%s], ARRAY[%s], '{f}', 10000, %s)",
            [budget.id, subject, at],
        )
        (balance_id,) = cursor.fetchone()
        Balance.objects.filter(id=balance_id).update(spent=F("spent") + amount)
        charged: dict[str, Any] = {"cost_pico": 0, "tokens": 0, "counted": 0} | {_CHARGED[Unit(budget.unit)]: amount}
        charged |= {"balance_ids": [balance_id], "held_pico": charged["cost_pico"]}
        row = call(person, at, **(charged | columns))
        cursor.execute("SELECT ledger_roll(ARRAY[%s], %s)", [row.call_id, row.ended_at])
    return Balance.objects.get(id=balance_id)


def refuse_subject(person: Person, balance: Balance, at: datetime, *, spent: int, asked: int) -> Call:
    """Add a refusal by a budget of subjects to the book as the proxy writes it; amounts in the budget's unit."""
    budget = balance.budget
    refusal = BudgetExceeded(
        agent=person.agent.name, scope=budget.scope, name=balance.subject or budget.scope_name, unit=budget.unit,
        window=budget.window, limit=budget.limit or 0, spent=spent, held=0, asked=asked, resets_at=balance.window_end,
    )  # fmt: skip
    return call(
        person, at, status=CallStatus.REFUSED, basis=Basis.NONE, cost_pico=0, reason=refusal.reason,
        facts=refusal.facts(), input_tokens=0, output_tokens=0,
    )  # fmt: skip
