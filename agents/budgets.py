"""What people do to agents and budgets: each action is one transaction that holds for the very next call."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import AuditEntry, Organization
from agents.budget_terms import BadBudget, BudgetTerms, check_limit, check_thresholds
from agents.ledger.stops import ANNOUNCE, CHANNEL, Stop
from agents.loop_blocks import loop_blocks
from agents.models import Agent, Balance, Budget, Mode, Scope, Unit, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from accounts.models import User

SLUG_MAX = 64


class NotNow(Exception):
    """The change would contradict what is there; the reason is for people."""


def ensure_organization_meter(organization: Organization) -> Budget:
    """Return the meter that every call of the organisation has, made where it is missing.

    It is a daily dollar budget of the whole organisation, which begins without a limit.
    """
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
    organization: Organization, name: str, *, slug: str | None = None, daily_limit_pico: int | None, by: User | None,
    maker: str = "",
) -> Agent:  # fmt: skip
    """Create an agent with its daily dollar budget.

    daily_limit_pico: None for no limit of its own. maker: the key whose call named it, where no person made it.
    """
    # One agent at a time for each organisation, so that two of the same name get different slugs.
    Organization.locked(organization.pk)
    agent = Agent.objects.create(
        organization=organization, name=name, slug=slug or _free_slug(organization, name), created_by=by,
        created_by_call=bool(maker),
    )  # fmt: skip
    ensure_organization_meter(organization)
    Budget.objects.create(
        organization=organization, agent=agent, scope=Scope.AGENT, unit=Unit.USD, window=Window.DAY, mode=Mode.HARD,
        limit=daily_limit_pico,
    )  # fmt: skip
    details = {"daily_limit_pico": _exact(daily_limit_pico)}
    _audit(organization, by, "agent.created", name, details | ({"created_by": maker} if maker else {}))
    return agent


@transaction.atomic
def set_limit(budget: Budget, limit: int | None, by: User | None) -> None:
    """Change a budget's limit; what it has spent and holds stays. Raises BadBudget.

    limit: in the budget's unit; None for no limit.
    """
    check_limit(budget.unit, limit)
    _stand_still(budget.organization_id, [budget.pk])
    before = Budget.objects.values_list("limit", flat=True).get(pk=budget.pk)
    Budget.objects.filter(pk=budget.pk).update(limit=limit)
    _bump(budget)
    budget.limit = limit
    details = {"budget_id": str(budget.pk), "from": _exact(before), "to": _exact(limit)}
    _audit(budget.organization, by, "budget.limit_set", _target(budget), details)


def create_budget(organization: Organization, agent: Agent | None, terms: BudgetTerms, by: User | None) -> Budget:
    """Create any budget of product.md B1 for an organisation (agent None) or within an agent; raises BadBudget."""
    terms.check(within_agent=agent is not None)
    budget = Budget(
        organization=organization, agent=agent, scope=terms.scope, scope_name=terms.scope_name, unit=terms.unit,
        window=terms.window, mode=terms.mode, limit=terms.limit, thresholds=list(terms.thresholds),
    )  # fmt: skip
    same = {"scope": terms.scope, "scope_name": terms.scope_name, "unit": terms.unit, "window": terms.window}
    if Budget.objects.filter(organization=organization, agent=agent, ended_at=None, **same).exists():
        raise BadBudget("window", "There is such a budget already: change its limit instead.")
    return add_budget(budget, by)


@transaction.atomic
def add_budget(budget: Budget, by: User | None) -> Budget:
    """Save a new budget; it starts from what its window has spent and holds already."""
    _stand_still(budget.organization_id, [])
    budget.save(force_insert=True)
    if budget.scope_name or budget.scope in (Scope.ORGANIZATION, Scope.AGENT):
        # It has one balance, which is seen before the next call; those of subjects open at their first call.
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM ledger_open_balances(%s::bigint[], %s::text[], %s::boolean[])",
                [[budget.pk] * 2, [""] * 2, [False, True]],
            )
    _bump(budget)
    details = {"scope": budget.scope, "window": budget.window, "unit": budget.unit, "limit": _exact(budget.limit)}
    _audit(budget.organization, by, "budget.added", _target(budget), details)
    return budget


@transaction.atomic
def change_terms(budget: Budget, *, mode: str, thresholds: tuple[int, ...], by: User | None) -> None:
    """Refuse or only alert, and at which shares of the limit; raises BadBudget."""
    if mode not in Mode.values:
        raise BadBudget("mode", "Choose hard or soft.")
    check_thresholds(thresholds)
    _stand_still(budget.organization_id, [budget.pk])
    Budget.objects.filter(pk=budget.pk).update(mode=mode, thresholds=list(thresholds))
    _bump(budget)
    budget.mode, budget.thresholds = mode, list(thresholds)
    details = {"budget_id": str(budget.pk), "mode": mode, "thresholds": ",".join(map(str, thresholds))}
    _audit(budget.organization, by, "budget.changed", _target(budget), details)


@transaction.atomic
def top_up(budget: Budget, amount: int, by: User | None, *, seen_extra: int | None = None) -> None:
    """Let the running window of a budget without subjects spend more (B6); it is gone when the window ends.

    amount: in the budget's unit, above 0. seen_extra: what the window had been topped up by when somebody decided,
    so that a form sent twice adds once. Raises BadBudget, NotNow.
    """
    check_limit(budget.unit, amount)
    if amount <= 0:
        raise BadBudget("amount", "Write an amount above zero.")
    if budget.limit is None:
        raise BadBudget("amount", "This budget has no limit to top up.")
    _stand_still(budget.organization_id, [budget.pk])
    with connection.cursor() as cursor:
        cursor.execute("SELECT balance_id FROM ledger_open_balances(ARRAY[%s::bigint], '{\"\"}', '{f}')", [budget.pk])
        (balance_id,) = cursor.fetchone()
    balance = Balance.objects.select_for_update(no_key=True).get(pk=balance_id)
    if seen_extra is not None and seen_extra != balance.extra:
        raise NotNow("It was topped up, or has begun anew, since you looked: add again if that is not enough.")
    check_limit(budget.unit, budget.limit + balance.extra + amount)
    Balance.objects.filter(pk=balance_id).update(extra=F("extra") + amount)
    _bump(budget)
    details = {"budget_id": str(budget.pk), "amount": _exact(amount), "extra": _exact(balance.extra + amount)}
    _audit(budget.organization, by, "budget.topped_up", _target(budget), details)


@transaction.atomic
def ensure_meter(agent_id: UUID, scope: str, unit: str, window: str) -> Budget:
    """Return an agent's budget per subject for a limit that calls bring themselves (W7); made without a limit."""
    agent = Agent.objects.select_related("organization").get(pk=agent_id)
    _stand_still(agent.organization_id, [])
    terms = {"scope": scope, "scope_name": "", "unit": unit, "window": window, "ended_at": None}
    known = Budget.objects.filter(organization=agent.organization, agent=agent, **terms).first()
    if known is not None:
        return known
    meter = Budget.objects.create(organization=agent.organization, agent=agent, mode=Mode.HARD, limit=None, **terms)
    _bump(meter)
    return meter


@transaction.atomic
def end_budget(budget: Budget, by: User | None) -> None:
    """Stop counting against a budget; its history stays. The organisation's meter cannot end."""
    if is_meter(budget):
        raise NotNow("An organisation keeps its daily budget; remove its limit instead.")
    _stand_still(budget.organization_id, [budget.pk])
    Budget.objects.filter(pk=budget.pk, ended_at=None).update(ended_at=timezone.now())
    _bump(budget)
    _audit(budget.organization, by, "budget.ended", _target(budget), {"window": budget.window})


def is_meter(budget: Budget) -> bool:
    """Whether it is the budget that every call of its organisation counts against."""
    return budget.scope == Scope.ORGANIZATION and (budget.unit, budget.window) == (Unit.USD, Window.DAY)


def pause(agent: Agent, by: User | None) -> None:
    """Admit no new calls; running ones finish."""
    _switch(agent, by, "agent.paused", {"paused_at": timezone.now()})


@transaction.atomic
def resume(agent: Agent, by: User | None) -> None:
    """Admit calls again, also those of an agent that a rule against loops had blocked; leaves one entry for both."""
    # Read before anything moves the policy's version, which ends what the proxy blocked.
    block = loop_blocks([agent], timezone.now()).get(agent.pk)
    was_paused = _switch(agent, by, "agent.resumed", {"paused_at": None, "stopped_at": None})
    if block is None and agent.blocked_until is None:
        return
    if block is not None and not was_paused:
        _audit(agent.organization, by, "agent.resumed", agent.name, {"rule": block.rule.value})
    Agent.objects.filter(pk=agent.pk).update(
        blocked_until=None, blocked_rule="", policy_version=F("policy_version") + 1
    )
    agent.refresh_from_db()


@transaction.atomic
def stop_now(agent: Agent, by: User | None) -> None:
    """Pause, and cut the running calls on every worker; again cuts what may have escaped, and leaves no entry."""
    _switch(agent, by, "agent.stopped", _stopped())
    announce(Stop("agent", agent.pk))


@transaction.atomic
def stop_all(organization: Organization, by: User | None) -> int:
    """Stop every current agent of an organisation at once, and let its calls create no others.

    Returns how many were not stopped before.
    """
    _stand_still(organization.pk, [])
    _forbid_new_agents(organization, by)
    going = Agent.objects.for_org(organization).current().filter(stopped_at=None)
    names = list(going.order_by("name").values_list("name", flat=True))
    going.update(**_stopped(), policy_version=F("policy_version") + 1)
    if names:
        _audit(organization, by, "organization.stopped", organization.name, {"agents": str(len(names))})
    for name in names:
        _audit(organization, by, "agent.stopped", name, {})
    announce(Stop("organization", organization.pk))
    return len(names)


def _forbid_new_agents(organization: Organization, by: User | None) -> None:
    """Refuse calls whose agent does not exist, else a program would go on under new ids."""
    # Whoever creates an agent locks the organisation, as we do: it is there by now and is stopped, or it is refused.
    if Organization.objects.filter(pk=organization.pk, allows_new_agents=True).update(allows_new_agents=False):
        _audit(organization, by, "organization.new_agents_stopped", organization.name, {"from": "yes", "to": "no"})


def announce(stop: Stop) -> None:
    """Tell every proxy which running calls to cut, once the transaction around this is committed."""
    with connection.cursor() as cursor:
        cursor.execute(ANNOUNCE, [CHANNEL, stop.payload()])


def _stopped() -> dict[str, Any]:
    """What a stop changes of an agent: since when it is paused stays."""
    now = timezone.now()
    return {"stopped_at": now, "paused_at": Coalesce("paused_at", Value(now))}


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


@transaction.atomic
def _switch(agent: Agent, by: User | None, action: str, change: dict[str, Any]) -> bool:
    """Change an agent's state, once: a second click changes nothing and leaves no entry. Return whether it changed.

    change: the first field tells whether the agent is in that state already.
    """
    _stand_still(agent.organization_id, [])
    field, value = next(iter(change.items()))
    was = {f"{field}__isnull": value is not None}
    rows = Agent.objects.filter(pk=agent.pk, **was).update(**change, policy_version=F("policy_version") + 1)
    if rows == 1:
        _audit(agent.organization, by, action, agent.name, {})
    agent.refresh_from_db()
    return rows == 1


def _stand_still(organization_id: UUID, budget_ids: Iterable[int]) -> None:
    """Lock what every call of the organisation needs (ledger.md rule 4); calls wait until the transaction ends."""
    Organization.locked(organization_id)
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_stand_still(%s, %s::bigint[])", [organization_id, list(budget_ids)])


def _target(budget: Budget) -> str:
    return budget.agent.name if budget.agent else budget.organization.name


def _bump(budget: Budget) -> None:
    if budget.agent_id is None:
        Organization.objects.filter(pk=budget.organization_id).update(policy_version=F("policy_version") + 1)
    else:
        Agent.objects.filter(pk=budget.agent_id).update(policy_version=F("policy_version") + 1)


def _audit(
    organization: Organization, by: User | None, action: str, target: str, details: Mapping[str, str | None]
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
