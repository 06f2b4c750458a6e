"""What people do to agents and budgets: each action is one transaction that holds for the very next call."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import AuditEntry, Organization
from agents.models import Agent, Budget, Mode, Scope, Unit, Window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from accounts.models import User

SLUG_MAX = 64


class NotNow(Exception):
    """The change would contradict what is there; the reason is for people."""


def create_organization_budgets(organization: Organization) -> Budget:
    """Create the meter that every call of the organisation has: a daily dollar budget without a limit."""
    budget, _ = Budget.objects.get_or_create(
        organization=organization,
        agent=None,
        scope=Scope.ORGANIZATION,
        scope_name="",
        unit=Unit.USD,
        window=Window.DAY,
        ended_at=None,
    )
    return budget


@transaction.atomic
def create_agent(
    organization: Organization, name: str, *, slug: str | None = None, daily_limit_pico: int | None, by: User | None
) -> Agent:
    """Create an agent with its daily dollar budget.

    daily_limit_pico: None for no limit of its own.
    """
    # One agent at a time for each organisation, so that two of the same name get different slugs.
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    agent = Agent.objects.create(
        organization=organization, name=name, slug=slug or _free_slug(organization, name), created_by=by
    )
    create_organization_budgets(organization)
    _new_agent_budget(agent, daily_limit_pico)
    _audit(organization, by, "agent.created", name, {"daily_limit_pico": _exact(daily_limit_pico)})
    return agent


def _new_agent_budget(agent: Agent, limit_pico: int | None) -> Budget:
    return Budget.objects.create(
        organization_id=agent.organization_id,
        agent=agent,
        scope=Scope.AGENT,
        unit=Unit.USD,
        window=Window.DAY,
        mode=Mode.HARD,
        limit=limit_pico,
    )


@transaction.atomic
def set_limit(budget: Budget, limit_pico: int | None, by: User | None) -> None:
    """Change a budget's limit; what it has spent and holds stays.

    limit_pico: in the budget's unit; None for no limit.
    """
    _stand_still(budget.organization_id, [budget.pk])
    before = Budget.objects.values_list("limit", flat=True).get(pk=budget.pk)
    Budget.objects.filter(pk=budget.pk).update(limit=limit_pico)
    _bump(budget)
    budget.limit = limit_pico
    target = budget.agent.name if budget.agent else budget.organization.name
    details = {"budget_id": str(budget.pk), "from": _exact(before), "to": _exact(limit_pico)}
    _audit(budget.organization, by, "budget.limit_set", target, details)


@transaction.atomic
def add_budget(budget: Budget, by: User | None) -> Budget:
    """Save a new budget of an organisation or agent; it starts from what its window has spent and holds already."""
    _stand_still(budget.organization_id, [])
    budget.save(force_insert=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_seed(%s)", [budget.pk])
    _bump(budget)
    target = budget.agent.name if budget.agent else budget.organization.name
    _audit(budget.organization, by, "budget.added", target, {"limit": _exact(budget.limit), "window": budget.window})
    return budget


@transaction.atomic
def end_budget(budget: Budget, by: User | None) -> None:
    """Stop counting against a budget; its history stays. The organisation's meter cannot end."""
    is_meter = budget.scope == Scope.ORGANIZATION and (budget.unit, budget.window) == (Unit.USD, Window.DAY)
    if is_meter:
        raise NotNow("An organisation keeps its daily budget; remove its limit instead.")
    _stand_still(budget.organization_id, [budget.pk])
    Budget.objects.filter(pk=budget.pk, ended_at=None).update(ended_at=timezone.now())
    _bump(budget)
    target = budget.agent.name if budget.agent else budget.organization.name
    _audit(budget.organization, by, "budget.ended", target, {"window": budget.window})


def pause(agent: Agent, by: User | None) -> None:
    """Admit no new calls; running ones finish."""
    _switch(agent, by, "agent.paused", {"paused_at": timezone.now()})


def resume(agent: Agent, by: User | None) -> None:
    """Admit calls again."""
    _switch(agent, by, "agent.resumed", {"paused_at": None})


def archive(agent: Agent, by: User | None) -> None:
    """Put an agent away for good: its keys stop working, its history stays."""
    _switch(agent, by, "agent.archived", {"archived_at": timezone.now()})


@transaction.atomic
def rename(agent: Agent, name: str, by: User | None) -> None:
    """Give an agent another name; its slug, by which programs know it, stays. Refusals say the new name at once."""
    before = agent.name
    _stand_still(agent.organization_id, [])
    Agent.objects.filter(pk=agent.pk).update(name=name, policy_version=F("policy_version") + 1)
    agent.name = name
    _audit(agent.organization, by, "agent.renamed", name, {"from": before})


@transaction.atomic
def touch_agent(agent_id: UUID) -> None:
    """Make every proxy look at an agent again before its next call: part of the transaction that changes it."""
    organization_id = Agent.objects.values_list("organization_id", flat=True).get(pk=agent_id)
    _stand_still(organization_id, [])
    Agent.objects.filter(pk=agent_id).update(policy_version=F("policy_version") + 1)


@transaction.atomic
def touch_organization(organization_id: UUID) -> None:
    """Make every proxy look at an organisation again before its next call."""
    _stand_still(organization_id, [])
    Organization.objects.filter(pk=organization_id).update(policy_version=F("policy_version") + 1)


def applicable(organization_id: UUID, agent_id: UUID) -> list[Budget]:
    """Return the budgets that a call of this agent counts against, all of which must admit it."""
    own = Q(agent=None, scope=Scope.ORGANIZATION) | Q(agent_id=agent_id)
    return list(Budget.objects.filter(own, organization_id=organization_id, ended_at=None).order_by("pk"))


@transaction.atomic
def _switch(agent: Agent, by: User | None, action: str, change: dict[str, Any]) -> None:
    """Change an agent's state, once: a second click changes nothing and leaves no entry."""
    _stand_still(agent.organization_id, [])
    field, value = next(iter(change.items()))
    was = {f"{field}__isnull": value is not None}
    rows = Agent.objects.filter(pk=agent.pk, **was).update(**change, policy_version=F("policy_version") + 1)
    if rows == 1:
        _audit(agent.organization, by, action, agent.name, {})
    agent.refresh_from_db()


def _stand_still(organization_id: UUID, budget_ids: Iterable[int]) -> None:
    """Lock what every call of the organisation needs (ledger.md rule 4); calls wait until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_stand_still(%s, %s::bigint[])", [organization_id, list(budget_ids)])


def _bump(budget: Budget) -> None:
    if budget.agent_id is None:
        Organization.objects.filter(pk=budget.organization_id).update(policy_version=F("policy_version") + 1)
    else:
        Agent.objects.filter(pk=budget.agent_id).update(policy_version=F("policy_version") + 1)


def _audit(
    organization: Organization, by: User | None, action: str, target: str, details: dict[str, str | None]
) -> None:
    AuditEntry.objects.create(organization=organization, user=by, action=action, target=target[:120], details=details)


def _exact(amount: int | None) -> str | None:
    """JSON readers lose digits of large numbers; text keeps them."""
    return None if amount is None else str(amount)


def _free_slug(organization: Organization, name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9._-]+", "-", plain).strip("-")[: SLUG_MAX - 4] or "agent"
    taken = set(Agent.objects.filter(organization=organization, slug__startswith=base).values_list("slug", flat=True))
    candidates = [base, *(f"{base}-{number}" for number in range(2, len(taken) + 3))]
    return next(slug for slug in candidates if slug not in taken)
