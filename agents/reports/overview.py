"""The numbers of the overview page."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from accounts.models import Organization
from agents.charts import OTHER_SERIES, Chart, Point, rank_series, stacked
from agents.days import day_of, day_query
from agents.models import Agent
from agents.reports.budget_list import BudgetGroup, budget_groups
from agents.reports.spend import DaySpend, Refusals, WindowSpend, organization_today, spend_by_day, total_pico
from agents.reports.standing import Standing, standings

CHART_DAYS = 30


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that the overview shows, of one moment."""

    today: date
    month_start: date
    organization: WindowSpend
    month_pico: int
    refusals: Refusals
    standings: list[Standing]
    groups: list[BudgetGroup]  # budgets of all agents together that a bar can show
    chart: Chart

    @property
    def resets_at(self) -> datetime | None:
        return self.standings[0].resets_at if self.standings else self.organization.end_at


def overview(organization: Organization, at: datetime) -> Overview:
    """Ask all of it; the number of queries does not grow with agents or calls."""
    today = day_of(at, organization.time_zone)
    chart_start, month_start = today - timedelta(days=CHART_DAYS - 1), today.replace(day=1)
    days = spend_by_day(organization, min(chart_start, month_start), at)
    stands = standings(organization, at)
    return Overview(
        today=today,
        month_start=month_start,
        organization=organization_today(organization, at),
        month_pico=total_pico(day for day in days if day.day >= month_start),
        refusals=_all_refusals(stands),
        standings=stands,
        groups=[group for group in budget_groups(organization, None, at) if group.has_bar],
        chart=_chart(organization, [day for day in days if day.day >= chart_start]),
    )


def _all_refusals(stands: list[Standing]) -> Refusals:
    return Refusals(
        count=sum(stand.refusals.count for stand in stands),
        asked_pico=sum(stand.refusals.asked_pico for stand in stands),
        budget_count=sum(stand.refusals.budget_count for stand in stands),
    )


def _chart(organization: Organization, days: list[DaySpend]) -> Chart:
    names = dict(Agent.objects.for_org(organization).values_list("id", "name"))
    totals: Counter[UUID] = Counter()
    for day in days:
        totals.update(day.by_agent)
    ranked = [(str(agent_id), names.get(agent_id, "Deleted agent"), pico) for agent_id, pico in totals.items()]
    series, numbers = rank_series(ranked)
    points = [_point(day, numbers) for day in days]
    return stacked(f"Spend by agent, last {len(days)} days", series, points)


def _point(day: DaySpend, numbers: dict[str, int]) -> Point:
    amounts: dict[int, int] = {}
    for agent_id, pico in day.by_agent.items():
        number = numbers.get(str(agent_id), OTHER_SERIES)
        amounts[number] = amounts.get(number, 0) + pico
    shown = f"{day.day.day} {day.day:%b}"
    return Point(label=shown, name=f"{day.day:%a} {shown}", amounts=amounts, href=f"?{day_query(day.day)}")
