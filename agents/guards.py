"""What people set as an agent's guards; each change holds for the very next call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import AuditEntry
from agents import budgets
from agents.models import AGENT_FIELDS, Budget, Guards, RuleMode, Scope, Unit, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.models import User
    from agents.models import Agent

HEADERS = ("session", "user")


@transaction.atomic
def set_guards(agent: Agent, changes: Mapping[str, Any], by: User | None) -> None:
    """Change some of an agent's guards, by their field names; raises ValidationError with the fields at fault.

    Calls at a time and calls of a session are facts of the ledger: the budgets that count them follow.
    """
    budgets.touch_agent(agent.pk)
    guards = Guards.of(agent)
    before = {name: guards.value_of(name) for name in changes}
    own = {name: value for name, value in changes.items() if name in AGENT_FIELDS}
    for name, value in changes.items():
        setattr(agent if name in own else guards, name, value)
    _check(guards)
    guards.save()
    if own:
        agent.clean_fields(exclude=[field.name for field in agent._meta.fields if field.name not in own])
        agent.save(update_fields=list(own))
    _count_parallel(agent, guards.max_parallel)
    if guards.session_mode == RuleMode.BLOCK:
        budgets.ensure_meter(agent.pk, Scope.SESSION, Unit.CALLS, Window.SESSION)
    moved = {name: f"{before[name]} → {value}"[:200] for name, value in changes.items() if before[name] != value}
    if moved:
        AuditEntry.objects.create(
            organization_id=agent.organization_id, user=by, action="guards.set", target=agent.name, details=moved
        )


def _check(guards: Guards) -> None:
    guards.clean_fields()
    if any(header not in HEADERS for header in guards.required_headers):
        raise ValidationError({"required_headers": f"Choose among {', '.join(HEADERS)}."})
    tools = guards.hosted_tools
    if not isinstance(tools, dict) or not all(isinstance(cap, int) and 1 <= cap <= 100 for cap in tools.values()):
        raise ValidationError({"hosted_tools": "Give each tool a number of uses from 1 to 100."})


def _count_parallel(agent: Agent, limit: int | None) -> None:
    """The budget whose held amount is the number of open reservations; without a limit it ends."""
    terms = {"agent": agent, "scope": Scope.AGENT, "unit": Unit.PARALLEL, "window": Window.TOTAL, "ended_at": None}
    known = Budget.objects.filter(**terms).first()
    if known is None and limit is not None:
        budgets.add_budget(Budget(organization_id=agent.organization_id, limit=limit, **terms), None)
    elif known is not None and limit is None:
        budgets.end_budget(known, None)
    elif known is not None and limit != known.limit:
        budgets.set_limit(known, limit, None)
