"""Who calls: a key opened into a snapshot of its agent, its organisation and the policy both are under."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Q

from accounts.credentials import PROVIDERS, OpenCredential
from agents.created_agents import agent_for
from agents.key_holders import Holder, holder_of
from agents.models import Agent, Budget, CustomRate, Guards
from agents.pins import credentials_of

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime


_NO_CREDENTIAL = UUID(int=0)  # none of the organisation's


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
class OwnKey:
    """A provider's key that a caller brings for one call. provider: the one whose header held it."""

    provider: str
    api_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling and under which policy: a snapshot, valid while both versions stand.

    derived: what calls have worked out from this snapshot alone and may use again. A change makes a new snapshot, also
    by `replace`, and a new snapshot knows nothing yet.
    """

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
    key_id: int | None
    practice: bool
    expires_at: datetime | None
    blocked_until: datetime | None
    blocked_rule: str
    guards: Guards
    rates: tuple[CustomRate, ...]
    budgets: tuple[BudgetPolicy, ...]
    credentials: dict[str, OpenCredential] = field(repr=False)
    organization_key_id: int | None = None
    own_key: OwnKey | None = None
    derived: dict[Hashable, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def with_own_key(self, model: str) -> Caller:
        """The caller as a call of this model is sent: with its own provider's key and no other, where it brought one.

        It goes to the provider that the model names by its first segment, else to the one whose header held it; at a
        built-in provider to its own address, whatever the organisation's credential says.
        """
        if self.own_key is None or self.practice:
            return self
        named, slash, _ = model.partition("/")
        is_provider = bool(slash) and (named in PROVIDERS or named in self.credentials)
        provider = named if is_provider else self.own_key.provider
        if provider in PROVIDERS:
            own = OpenCredential(_NO_CREDENTIAL, provider, "", self.own_key.api_key)
        else:
            own = replace(self.credentials[provider], api_key=self.own_key.api_key)
        return replace(self, credentials={provider: own})


def caller_for(whole: str, agent_slug: str = "", daily_pico: int | None = None) -> Caller:
    """Return the snapshot of who holds this key; raises KeyRejected, or AgentRejected where no agent stands behind it.

    agent_slug: the agent that the call names, folded; only for keys that are no agent's own. daily_pico: what that
    agent is to have a day, should this call make it.
    """
    holder = holder_of(whole)
    agent = holder.agent or agent_for(holder.organization, agent_slug, daily_pico=daily_pico, maker=holder.maker)
    return _snapshot(holder, agent)


def _snapshot(holder: Holder, agent: Agent) -> Caller:
    organization = holder.organization
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
        key_id=holder.key_id,
        organization_key_id=holder.organization_key_id,
        practice=holder.practice,
        expires_at=holder.expires_at,
        blocked_until=agent.blocked_until,
        blocked_rule=agent.blocked_rule,
        guards=Guards.of(agent),
        rates=tuple(CustomRate.objects.filter(organization=organization, ended_at=None)),
        budgets=tuple(_policy(budget) for budget in _budgets_of(agent)),
        credentials=credentials_of(agent),
    )


def _budgets_of(agent: Agent) -> Any:
    applies = Q(agent=agent) | Q(agent=None)
    return Budget.objects.filter(applies, organization_id=agent.organization_id, ended_at=None).order_by("id")


def _policy(budget: Budget) -> BudgetPolicy:
    return BudgetPolicy(
        budget_id=budget.id,
        scope=budget.scope,
        scope_name=budget.scope_name,
        unit=budget.unit,
        window=budget.window,
        mode=budget.mode,
        limit=budget.limit,
        is_agents_own=budget.agent_id is not None,
    )
