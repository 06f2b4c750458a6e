"""The numbers of an agent's page."""

from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from accounts.models import Organization
from agents.charts import Chart, Point, Series, stacked
from agents.days import ID_CLOCK_OFF_MAX, Period, call_ids, day_of, day_period
from agents.models import Agent, Balance, Call, CallStatus, Reservation, Scope, Unit, Window
from agents.reports.spend import spend_by_hour


def hourly_chart(organization: Organization, agent: Agent, at: datetime) -> Chart:
    """What the agent spent today, hour by hour."""
    zone = ZoneInfo(organization.time_zone)
    day = day_of(at, organization.time_zone)
    period = day_period(day, organization.time_zone)
    spent = spend_by_hour(organization, agent.id, day)
    hours = int((period.end_at - period.start_at) / timedelta(hours=1))
    points = []
    for offset in range(hours):
        start_at = period.start_at + timedelta(hours=offset)
        shown = f"{start_at.astimezone(zone):%H:%M}"
        points.append(Point(label=shown, name=shown, amounts={1: spent.get(start_at, 0)}))
    series = [Series(1, agent.name, sum(spent.values()))]
    return stacked(f"Spend of {agent.name} today, by hour", series, points)


def first_call(agent: Agent, at: datetime) -> Call | None:
    """The newest call that got through since the agent exists, with any of its keys; none while it is new."""
    return _latest(agent, at, refused=False)


def last_refusal(agent: Agent, at: datetime) -> Call | None:
    """The latest call of a new agent that was turned away: mostly what is still to be set up."""
    return _latest(agent, at, refused=True)


def has_running_call(agent: Agent) -> bool:
    """Whether a call of the agent is in flight."""
    return Reservation.objects.filter(organization_id=agent.organization_id, agent_id=agent.id).exists()


def practice_pico(agent: Agent, at: datetime) -> int:
    """What the agent's test keys have used up today of their own balance, which is no money."""
    today = Balance.objects.filter(
        budget__agent=agent, budget__scope=Scope.AGENT, budget__unit=Unit.USD, budget__window=Window.DAY,
        budget__ended_at=None, practice=True, window_start__lte=at, window_end__gt=at,
    )  # fmt: skip
    return sum(today.values_list("spent", flat=True))


def _latest(agent: Agent, at: datetime, *, refused: bool) -> Call | None:
    first_id, last_id = _id_bounds(agent, at)
    rows = Call.objects.filter(
        organization_id=agent.organization_id, agent_id=agent.id, seq=0, call_id__gte=first_id, call_id__lte=last_id
    )
    refusals = {"status": CallStatus.REFUSED}
    rows = rows.filter(**refusals) if refused else rows.exclude(**refusals)
    return rows.order_by("-call_id").first()


def _id_bounds(agent: Agent, at: datetime) -> tuple[UUID, UUID]:
    return call_ids(Period(agent.created_at, at + ID_CLOCK_OFF_MAX))
