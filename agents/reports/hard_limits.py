"""Which dollar budgets hold an agent, so that none is without (product.md B2)."""

from django.db.models import F, Q, QuerySet

from accounts.models import Organization
from agents.models import Agent, Budget, Mode, Scope, Unit, Window


def hard_limits(organization: Organization) -> QuerySet[Budget]:
    """The budgets that refuse by dollars whatever the agent, or the whole organisation, spends it on."""
    return Budget.objects.filter(
        organization=organization, scope__in=(Scope.ORGANIZATION, Scope.AGENT), unit=Unit.USD, mode=Mode.HARD,
        ended_at=None, limit__isnull=False,
    )  # fmt: skip


def widest_limit(organization: Organization, agent: Agent | None = None) -> Budget | None:
    """A budget that holds an agent without a daily limit; none when there is none.

    It is the organisation's, or else one of the agent's own over another time than a day.
    """
    wider = Q(agent=None) if agent is None else Q(agent=None) | (Q(agent=agent) & ~Q(window=Window.DAY))
    return hard_limits(organization).filter(wider).order_by(F("agent").asc(nulls_first=True), "limit").first()


def unheld_without(budget: Budget) -> list[Agent]:
    """The agents that nothing but this budget holds; archived ones spend nothing."""
    limits = hard_limits(budget.organization)
    others = limits.exclude(pk=budget.pk)
    if not limits.filter(pk=budget.pk).exists() or others.filter(agent=None).exists():
        return []
    agents = Agent.objects.for_org(budget.organization).current()
    if budget.agent_id is not None:
        agents = agents.filter(id=budget.agent_id)
    held = others.filter(agent__isnull=False).values("agent_id")
    return list(agents.exclude(id__in=held).order_by("name"))
