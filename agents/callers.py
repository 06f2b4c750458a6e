"""Who calls: a key opened into a snapshot of its agent, its organisation and the policy both are under."""

import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from accounts.credentials import OpenCredential, open_credential
from accounts.vault import SealBroken
from agents.keys import KeyRejected, fingerprint, public_id_of
from agents.models import Agent, AgentKey, Budget, CustomRate, Guards, KeyMode

_LAST_USED_GRAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class BudgetPolicy:
    """One budget that applies to a caller."""

    budget_id: int
    scope: str
    scope_name: str
    unit: str
    window: str
    mode: str
    limit: int | None
    is_agents_own: bool  # not one of the whole organisation


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling and under which policy: a snapshot, valid while both versions stand."""

    organization_id: UUID
    organization_name: str
    time_zone: str
    organization_version: int
    agent_id: UUID
    agent_slug: str
    agent_name: str
    agent_version: int
    paused: bool
    default_output: int
    refusal_status: int
    key_id: int
    practice: bool
    expires_at: datetime | None
    blocked_until: datetime | None
    blocked_rule: str
    guards: Guards
    rates: tuple[CustomRate, ...]
    budgets: tuple[BudgetPolicy, ...]
    credentials: dict[str, OpenCredential] = field(repr=False)


def caller_for(whole: str) -> Caller:
    """Return the snapshot of who holds this key; raises KeyRejected.

    The same work is done for an unknown id as for a known one, and digests are compared in constant time.
    """
    public_id = public_id_of(whole)
    shown = whole[: len("awx_live_") + 8] + "…"
    key = AgentKey.objects.select_related("agent__organization").filter(public_id=public_id).first()
    matches = hmac.compare_digest(fingerprint(whole), key.digest if key else "0" * 64)
    if key is None or not matches:
        raise KeyRejected("unknown", shown)
    _check_standing(key, shown)
    _note_use(key)
    return _snapshot(key)


def _check_standing(key: AgentKey, shown: str) -> None:
    if key.revoked_at is not None:
        raise KeyRejected("revoked", shown)
    if not key.is_usable(timezone.now()):
        raise KeyRejected("expired", shown)
    if key.agent.archived_at is not None:
        raise KeyRejected("archived", shown)
    if key.agent.organization.suspended_at is not None:
        raise KeyRejected("suspended", shown)


def _snapshot(key: AgentKey) -> Caller:
    agent, organization = key.agent, key.agent.organization
    return Caller(
        organization_id=organization.id,
        organization_name=organization.name,
        time_zone=organization.time_zone,
        organization_version=organization.policy_version,
        agent_id=agent.id,
        agent_slug=agent.slug,
        agent_name=agent.name,
        agent_version=agent.policy_version,
        paused=agent.paused_at is not None,
        default_output=agent.default_output,
        refusal_status=agent.refusal_status,
        key_id=key.id,
        practice=key.mode == KeyMode.TEST,
        expires_at=key.expires_at,
        blocked_until=agent.blocked_until,
        blocked_rule=agent.blocked_rule,
        guards=Guards.of(agent),
        rates=tuple(CustomRate.objects.filter(organization=organization, ended_at=None)),
        budgets=tuple(_policy(budget) for budget in _budgets_of(agent)),
        credentials=_credentials_of(agent),
    )


def _budgets_of(agent: Agent) -> Any:
    applies = Q(agent=agent) | Q(agent=None)
    return Budget.objects.filter(applies, organization_id=agent.organization_id, ended_at=None).order_by("id")


def _policy(budget: Budget) -> BudgetPolicy:
    return BudgetPolicy(
        budget.id,
        budget.scope,
        budget.scope_name,
        budget.unit,
        budget.window,
        budget.mode,
        budget.limit,
        budget.agent_id is not None,
    )


def _credentials_of(agent: Agent) -> dict[str, OpenCredential]:
    """Open every credential that opens; one whose seal is broken counts as not connected."""
    opened = {}
    for credential in agent.organization.credentials.all():
        try:
            opened[credential.provider] = open_credential(credential)
        except SealBroken:
            continue
    return opened


def _note_use(key: AgentKey) -> None:
    """Remember the time, at most once a minute, so that a busy key writes little."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > _LAST_USED_GRAIN:
        AgentKey.objects.filter(id=key.id).update(last_used_at=now)
