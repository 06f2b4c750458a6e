"""Agents that a call names (product.md W6): found by their id, or made by their first call where that is allowed."""

from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEntry, Organization, User
from agents import budgets
from agents.models import Agent, Budget, Mode, Scope, Unit, Window
from agents.windows import window_of

NEW_AGENTS_MAX = 1_000  # a day; more is no list of agents that somebody knows


class AgentRejected(Exception):
    """No agent stands behind a call.

    `problem`: missing (the call names none), archived, suspended (its organisation), or why none was made:
    not_allowed, no_budget (the organisation has no hard daily dollar limit) or too_many (new ones that day).
    """

    def __init__(self, problem: str, slug: str = "", new_agents_max: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.slug = slug
        self.new_agents_max = new_agents_max


@dataclass(frozen=True, slots=True)
class CreationTerms:
    """Whether calls may make agents, how many a day, and what each may spend a day at most."""

    allowed: bool
    new_agents_max: int
    daily_pico: int


def agent_for(organization: Organization, slug: str, *, daily_pico: int | None, maker: str) -> Agent:
    """Return the organisation's agent with this id; raises AgentRejected where there is none and none may be made.

    slug: folded, empty where the call names none. daily_pico: what a new agent is to have a day at most; the agent
    that is there already keeps its own limit. maker: whose key it is, for the audit log.
    """
    if not slug:
        raise AgentRejected("missing")
    if organization.suspended_at is not None:
        raise AgentRejected("suspended", slug)
    agent = _known(organization, slug) or _create(organization, slug, daily_pico, maker)
    if agent.archived_at is not None:
        raise AgentRejected("archived", slug)
    return agent


def change_terms(organization: Organization, terms: CreationTerms, *, by: User) -> None:
    """Set when calls may make agents. Agents that are there already call as before, so no snapshot is touched."""
    with transaction.atomic():
        before = terms_of(Organization.locked(organization.pk))
        if before == terms:
            return
        Organization.objects.filter(pk=organization.pk).update(
            allows_new_agents=terms.allowed, new_agents_max=terms.new_agents_max, new_agent_daily_pico=terms.daily_pico
        )
        AuditEntry.objects.create(
            organization=organization, user=by, action="organization.new_agents_changed", target=organization.name,
            details={"from": _written(before), "to": _written(terms)},
        )  # fmt: skip


def terms_of(organization: Organization) -> CreationTerms:
    """When calls may make agents of this organisation."""
    return CreationTerms(organization.allows_new_agents, organization.new_agents_max, organization.new_agent_daily_pico)


def has_hard_daily_limit(organization: Organization) -> bool:
    """Whether a hard daily dollar budget of the whole organisation holds every agent together."""
    return Budget.objects.filter(
        organization=organization, agent=None, scope=Scope.ORGANIZATION, unit=Unit.USD, window=Window.DAY,
        mode=Mode.HARD, limit__isnull=False, ended_at=None,
    ).exists()  # fmt: skip


def _known(organization: Organization, slug: str) -> Agent | None:
    return Agent.objects.for_org(organization).filter(slug=slug).first()


def _create(organization: Organization, slug: str, daily_pico: int | None, maker: str) -> Agent:
    if not organization.allows_new_agents:
        raise AgentRejected("not_allowed", slug)
    with transaction.atomic():
        # One at a time for each organisation: two calls that bring the same id make one agent, and none is uncounted.
        organization = Organization.locked(organization.pk)
        known = _known(organization, slug)
        if known is not None:
            return known
        terms = terms_of(organization)
        _check_may_create(organization, terms, slug)
        limit_pico = terms.daily_pico if daily_pico is None else min(daily_pico, terms.daily_pico)
        return budgets.create_agent(organization, slug, slug=slug, daily_limit_pico=limit_pico, by=None, maker=maker)


def _check_may_create(organization: Organization, terms: CreationTerms, slug: str) -> None:
    if not terms.allowed:
        raise AgentRejected("not_allowed", slug)
    if not has_hard_daily_limit(organization):
        raise AgentRejected("no_budget", slug)
    today = window_of(Window.DAY, organization.time_zone, timezone.now())
    made = Agent.objects.for_org(organization).filter(created_by_call=True, created_at__gte=today.start)
    if made.count() >= terms.new_agents_max:
        raise AgentRejected("too_many", slug, terms.new_agents_max)


def _written(terms: CreationTerms) -> dict[str, str]:
    return {
        "allowed": "yes" if terms.allowed else "no",
        "a_day": str(terms.new_agents_max),
        "daily_pico": str(terms.daily_pico),
    }
