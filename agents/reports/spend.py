"""What was spent: the one definition that tiles, bars, charts and sums share.

Windows that still run are the ledger's balances. Closed days are DailyUsage, and for days that are not rolled up yet
the book itself. The audit holds the three together, so the sum of days is the total of the range is the ledger.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    DateTimeField,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    Max,
    QuerySet,
    Sum,
    Value,
)  # fmt: skip

from accounts.models import Organization
from agents.days import Period, call_ids, day_of, day_period, days_between, days_period
from agents.models import Balance, Call, CallStatus, DailyUsage, Scope, Unit, Window

_HOUR = timedelta(hours=1)
HELD_BACK_DAYS = 3  # a hold outlives its window by no more than a call's longest time


@dataclass(frozen=True, slots=True)
class WindowSpend:
    """What one window of a dollar budget has spent and holds, in pico-dollars.

    extra_pico: what it was topped up by, beside the limit.
    """

    spent_pico: int = 0
    held_pico: int = 0
    start_at: datetime | None = None
    end_at: datetime | None = None
    extra_pico: int = 0


@dataclass(frozen=True, slots=True)
class DaySpend:
    """Pico-dollars by agent on one day."""

    day: date
    by_agent: Mapping[UUID, int]

    @property
    def total_pico(self) -> int:
        return sum(self.by_agent.values())


def book(organization: Organization, period: Period, agent_id: UUID | None = None) -> QuerySet[Call]:
    """The rows of the book of a period, practice calls left out; bounded so that only its partitions are read."""
    first_id, last_id = call_ids(period)
    rows = Call.objects.filter(
        organization_id=organization.id, call_id__gte=first_id, call_id__lte=last_id,
        reserved_at__gte=period.start_at, reserved_at__lt=period.end_at, practice=False,
    )  # fmt: skip
    return rows if agent_id is None else rows.filter(agent_id=agent_id)


def organization_today(organization: Organization, at: datetime) -> WindowSpend:
    """The organisation's day as the ledger has it; what is held counts every window that still holds something."""
    balances = list(_day_balances(organization, Scope.ORGANIZATION, at - timedelta(days=HELD_BACK_DAYS), at))
    held_pico = sum(balance.held for balance in balances)
    running = next((balance for balance in balances if _is_running(balance, at)), None)
    if running is None:
        return WindowSpend(held_pico=held_pico)
    return replace(_window(running), held_pico=held_pico)


def agents_today(organization: Organization, at: datetime) -> dict[UUID, WindowSpend]:
    """Each agent's day as the ledger has it; agents without a call today are missing."""
    balances = _day_balances(organization, Scope.AGENT, at - timedelta(days=2), at)
    return {
        balance.budget.agent_id: _window(balance)
        for balance in balances
        if balance.budget.agent_id is not None and _is_running(balance, at)
    }


def spend_by_day(organization: Organization, first: date, at: datetime) -> list[DaySpend]:
    """Every day from `first` to the day of `at`, by agent."""
    today = day_of(at, organization.time_zone)
    by_day: defaultdict[date, dict[UUID, int]] = defaultdict(dict)
    rolled = DailyUsage.objects.filter(organization_id=organization.id, day__gte=first, day__lt=today)
    for row in rolled.values("day", "agent_id").annotate(cost=Sum("cost_pico")):
        by_day[row["day"]][row["agent_id"]] = int(row["cost"])
    open_from = _first_open_day(organization, first, today)
    if open_from < today:
        _add_from_book(by_day, organization, open_from, today - timedelta(days=1))
    by_day[today] = {agent_id: window.spent_pico for agent_id, window in agents_today(organization, at).items()}
    return [DaySpend(day, by_day[day]) for day in days_between(first, today)]


def spend_by_hour(organization: Organization, agent_id: UUID, day: date) -> dict[datetime, int]:
    """Pico-dollars of an agent by hour of a day, by the moment each hour begins."""
    period = day_period(day, organization.time_zone)
    # Counted from midnight rather than by the clock's name, so that the hour that comes twice is two hours.
    hour = Func(Value(_HOUR), F("reserved_at"), Value(period.start_at), function="date_bin")
    rows = book(organization, period, agent_id).annotate(hour=ExpressionWrapper(hour, DateTimeField())).order_by()
    return {row["hour"]: int(row["cost"]) for row in rows.values("hour").annotate(cost=Sum("cost_pico"))}


def total_pico(days: Iterable[DaySpend]) -> int:
    """The sum of days."""
    return sum(day.total_pico for day in days)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Refused calls and the money they asked for, in pico-dollars."""

    count: int = 0
    asked_pico: int = 0
    budget_count: int = 0  # those that a budget refused


def refusals_today(organization: Organization, at: datetime) -> dict[UUID, Refusals]:
    """Today's refusals by agent; one row of a flood counts as often as it happened."""
    period = day_period(day_of(at, organization.time_zone), organization.time_zone)
    rows = book(organization, period).filter(status=CallStatus.REFUSED).order_by()
    grouped = rows.values("agent_id", "reason").annotate(times=Sum("repeat_count"), asked=Sum("held_pico"))
    by_agent: defaultdict[UUID, Refusals] = defaultdict(Refusals)
    for row in grouped:
        before, times = by_agent[row["agent_id"]], int(row["times"])
        by_budget = times if row["reason"] == "budget_exceeded" else 0
        by_agent[row["agent_id"]] = Refusals(
            before.count + times, before.asked_pico + int(row["asked"]), before.budget_count + by_budget
        )
    return dict(by_agent)


def _day_balances(organization: Organization, scope: Scope, since_at: datetime, at: datetime) -> QuerySet[Balance]:
    return Balance.objects.filter(
        budget__organization=organization, budget__scope=scope, budget__scope_name="", budget__unit=Unit.USD,
        budget__window=Window.DAY, subject="", practice=False, window_start__gt=since_at, window_start__lte=at,
    ).select_related("budget")  # fmt: skip


def _window(balance: Balance) -> WindowSpend:
    return WindowSpend(balance.spent, balance.held, balance.window_start, balance.window_end, balance.extra)


def _is_running(balance: Balance, at: datetime) -> bool:
    return balance.window_start <= at and (balance.window_end is None or at < balance.window_end)


def _first_open_day(organization: Organization, first: date, today: date) -> date:
    """The day after the last one that is rolled up: rolled days are written whole."""
    rolled = DailyUsage.objects.filter(organization_id=organization.id, day__gte=first, day__lt=today)
    last_rolled: date | None = rolled.aggregate(last=Max("day"))["last"]
    return first if last_rolled is None else last_rolled + timedelta(days=1)


def _add_from_book(
    by_day: defaultdict[date, dict[UUID, int]], organization: Organization, first: date, last: date
) -> None:
    """Sum days of the book, one query for all: rows fall between the instants at which the days begin."""
    zone = organization.time_zone
    days = days_between(first, last)
    starts = Value([day_period(day, zone).start_at for day in days], output_field=ArrayField(DateTimeField()))
    number = Func(F("reserved_at"), starts, function="width_bucket", output_field=IntegerField())
    rows = book(organization, days_period(first, last, zone)).annotate(number=number).order_by()
    for row in rows.values("number", "agent_id").annotate(cost=Sum("cost_pico")):
        by_day[days[row["number"] - 1]][row["agent_id"]] = int(row["cost"])
