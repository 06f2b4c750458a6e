"""Sums of the book by hour and by day, for pages that cannot read every call.

Nothing is added up step by step: an hour that was touched is summed anew from the book, so a run can be repeated,
missed or interrupted. Hours are UTC's; a day is the organisation's and is written whole, once its calls have ended.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Aggregate, Count, F, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import TruncHour

from accounts.ids import made_at
from accounts.models import Organization
from agents.days import Period, call_ids, day_of, day_period
from agents.models import Agent, Call, CallStatus, DailyUsage, HourlyUsage, Mark

MARK = "sums"
# Rows carry the moment at which their transaction looked at the clock and are seen when it commits.
OVERLAP = timedelta(minutes=2)
# Longer than a call's total time-out: calls that run over midnight have ended when their day is written.
SETTLE_GRACE = timedelta(minutes=45)
# A long way behind, the book is read in slices, each committed for itself.
SLICE = timedelta(days=1)
HOUR = timedelta(hours=1)

_GROUP = ("organization_id", "agent_id", "provider", "model")
_ADMITTED = Q(seq=0) & ~Q(status=CallStatus.REFUSED)
_REFUSED = Q(status=CallStatus.REFUSED)
_EVERY_INPUT = F("input_tokens") + F("cache_read_tokens") + F("cache_write_tokens") + F("cache_write_long_tokens")
# Corrections are rows that carry the difference, so that sums take them like any other row.
_OF_CALLS: dict[str, Aggregate] = {
    "call_count": Count("call_id", filter=_ADMITTED),
    "failed_count": Count("call_id", filter=_ADMITTED & Q(failed=True)),
    "refused_count": Sum("repeat_count", filter=_REFUSED, default=0),
    "refused_pico": Sum("held_pico", filter=_REFUSED, default=0),  # of a flood it is the sum already
    "cost_pico": Sum("cost_pico", default=0),
    "input_tokens": Sum(_EVERY_INPUT, default=0),
    "cache_read_tokens": Sum("cache_read_tokens", default=0),
    "output_tokens": Sum("output_tokens", default=0),
}
SUM_NAMES = tuple(_OF_CALLS)
_OF_HOURS: dict[str, Aggregate] = {name: Sum(name, default=0) for name in SUM_NAMES}

type Hours = dict[datetime, set[UUID]]  # hour in UTC → organisations with calls reserved in it
type Days = dict[UUID, set[date]]  # organisation → days in its zone
type Group = tuple[UUID, UUID, str, str]  # organisation, agent, provider, model
type Sums = dict[str, int]


def roll_up(at: datetime) -> int:
    """Bring the sums up to date; return how many hours were summed anew.

    at: the database's clock. Of several runs at once one works.
    """
    hour_count = 0
    for until_at in _slices(at):
        with transaction.atomic():
            if not Mark.take(MARK):
                break
            hour_count += _roll_slice(until_at)
            Mark.move(MARK, until_at)
    return hour_count


def rolled_until() -> datetime | None:
    """Calls that ended before this are in the hours; None before the first run."""
    return Mark.of(MARK)


def sum_again(organization: Organization, since_at: datetime, at: datetime) -> None:
    """Write an organisation's hours since a moment anew, and every closed day: for rows that came in another way.

    at: the database's clock.
    """
    with transaction.atomic():
        hour = _hour(since_at)
        while hour < at:
            _write_hour(hour, {organization.id})
            hour += HOUR
        _write_days_again(organization, at)


def _slices(at: datetime) -> Iterator[datetime]:
    """The ends of the slices from the mark to `at`."""
    mark = rolled_until()
    if mark is None:
        oldest = Call.objects.order_by("call_id").values_list("call_id", flat=True).first()
        mark = made_at(oldest) if oldest else at
    while mark + SLICE < at:
        mark += SLICE
        yield mark
    yield at


def _roll_slice(until_at: datetime) -> int:
    """Sum the hours that calls touched since the mark, and the days that these, or time, have made due."""
    mark = rolled_until()
    hours = _touched_hours(mark - OVERLAP if mark else None, until_at)
    for hour, organization_ids in sorted(hours.items()):
        _write_hour(hour, organization_ids)
    _note_first_calls(mark - OVERLAP if mark else None, until_at)
    zones = dict(Organization.objects.values_list("id", "time_zone"))
    for organization in _with_changed_zone(set().union(*hours.values())):
        _write_days_again(organization, until_at)
    for organization_id, days in _due_days(hours, zones, mark, until_at).items():
        for day in days:
            _write_day(organization_id, day, zones[organization_id])
    return len(hours)


def _touched_hours(since_at: datetime | None, until_at: datetime) -> Hours:
    """The hours in which calls were reserved that ended, or were corrected, since."""
    ended = Call.objects.filter(ended_at__lt=until_at, practice=False)
    if since_at is not None:
        ended = ended.filter(ended_at__gte=since_at)
    hours: Hours = defaultdict(set)
    pairs = ended.annotate(hour=TruncHour("reserved_at", tzinfo=UTC)).order_by().values_list("hour", "organization_id")
    for hour, organization_id in pairs.distinct():
        hours[hour].add(organization_id)
    return hours


def _note_first_calls(since_at: datetime | None, until_at: datetime) -> None:
    """Agents are new until a call of theirs got through, with whichever key."""
    new_ids = Agent.objects.filter(first_call_at=None).values("id")
    through = Call.objects.filter(ended_at__lt=until_at, agent_id__in=new_ids).exclude(status=CallStatus.REFUSED)
    if since_at is not None:
        through = through.filter(ended_at__gte=since_at)
    for row in through.order_by().values("agent_id").annotate(first_at=Min("reserved_at")):
        Agent.objects.filter(id=row["agent_id"], first_call_at=None).update(first_call_at=row["first_at"])


def _write_hour(hour: datetime, organization_ids: set[UUID]) -> None:
    """Sum one hour of some organisations from the book, over what was there."""
    calls = _book(Period(hour, hour + HOUR)).filter(organization_id__in=organization_ids)
    HourlyUsage.objects.bulk_create(
        [HourlyUsage(hour=hour, **_names(group), **sums) for group, sums in _summed(calls, _OF_CALLS)],
        update_conflicts=True, unique_fields=["organization_id", "hour", "agent_id", "provider", "model"],
        update_fields=SUM_NAMES, batch_size=1000,
    )  # fmt: skip


def _due_days(hours: Hours, zones: Mapping[UUID, str], mark: datetime | None, until_at: datetime) -> Days:
    """Closed days that were touched, and days that closed since the mark."""
    days: Days = defaultdict(set)
    for hour, organization_ids in hours.items():
        for organization_id in organization_ids & zones.keys():
            days[organization_id].update(_closed_days_of(hour, zones[organization_id], until_at))
    for zone in set(zones.values()) if mark is not None else ():
        day = _last_closed_day(zone, until_at)
        while mark is not None and day > _last_closed_day(zone, mark):
            for organization_id in _with_calls(day, zone):
                if zones.get(organization_id) == zone:
                    days[organization_id].add(day)
            day -= timedelta(days=1)
    return days


def _with_calls(day: date, zone: str) -> Iterable[UUID]:
    """The organisations, of whatever zone, with calls in the hours of a day."""
    period = day_period(day, zone)
    used = HourlyUsage.objects.filter(hour__gt=period.start_at - HOUR, hour__lt=period.end_at)
    return used.order_by().values_list("organization_id", flat=True).distinct()


def _with_changed_zone(organization_ids: set[UUID]) -> QuerySet[Organization]:
    """Those of the organisations whose days were written for another zone."""
    written = DailyUsage.objects.filter(organization_id=OuterRef("id")).order_by("-day").values("time_zone")[:1]
    organizations = Organization.objects.filter(id__in=organization_ids).annotate(written=Subquery(written))
    return organizations.exclude(written=None).exclude(written=F("time_zone"))


def _write_days_again(organization: Organization, at: datetime) -> None:
    """Write every closed day of an organisation as its zone has it now; hours are UTC's and stay."""
    DailyUsage.objects.filter(organization_id=organization.id).delete()
    hours = HourlyUsage.objects.filter(organization_id=organization.id).order_by().values_list("hour", flat=True)
    closed = {day for hour in hours.distinct() for day in _closed_days_of(hour, organization.time_zone, at)}
    for day in sorted(closed):
        _write_day(organization.id, day, organization.time_zone)


def _closed_days_of(hour: datetime, zone: str, at: datetime) -> set[date]:
    """The days that an hour of UTC belongs to, one or two, where they are over."""
    last_closed = _last_closed_day(zone, at)
    both = {day_of(moment, zone) for moment in (hour, hour + HOUR - timedelta(microseconds=1))}
    return {day for day in both if day <= last_closed}


def _last_closed_day(zone: str, at: datetime) -> date:
    """The last day whose calls have all ended."""
    return day_of(at - SETTLE_GRACE, zone) - timedelta(days=1)


def _write_day(organization_id: UUID, day: date, zone: str) -> None:
    """Sum one day of an organisation from its hours, and from the book where a zone's midnight cuts an hour."""
    period = day_period(day, zone)
    first_at, last_at = _next_hour(period.start_at), _hour(period.end_at)
    hours = HourlyUsage.objects.filter(organization_id=organization_id, hour__gte=first_at, hour__lt=last_at)
    sums: defaultdict[Group, Counter[str]] = defaultdict(Counter)
    for group, part in _summed(hours, _OF_HOURS):
        sums[group].update(part)
    for edge in (Period(period.start_at, first_at), Period(last_at, period.end_at)):
        if edge.start_at < edge.end_at:
            calls = _book(edge).filter(organization_id=organization_id)
            for group, part in _summed(calls, _OF_CALLS):
                sums[group].update(part)
    DailyUsage.objects.filter(organization_id=organization_id, day=day).delete()
    DailyUsage.objects.bulk_create(
        DailyUsage(day=day, time_zone=zone, **_names(group), **part) for group, part in sums.items()
    )


def _book(period: Period) -> QuerySet[Call]:
    """The rows of calls reserved in a stretch of time; bounded so that only its partitions are read."""
    first_id, last_id = call_ids(period)
    return Call.objects.filter(
        call_id__gte=first_id, call_id__lte=last_id,
        reserved_at__gte=period.start_at, reserved_at__lt=period.end_at, practice=False,
    )  # fmt: skip


def _summed(rows: QuerySet[Any], sums: Mapping[str, Aggregate]) -> Iterator[tuple[Group, Sums]]:
    """Sum rows by organisation, agent, provider and model."""
    grouped = rows.order_by().values(*_GROUP).annotate(**{f"sum_{name}": one for name, one in sums.items()})
    for row in grouped.iterator():
        yield tuple(row[name] for name in _GROUP), {name: int(row[f"sum_{name}"]) for name in sums}


def _names(group: Group) -> dict[str, Any]:
    return dict(zip(_GROUP, group, strict=True))


def _hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _next_hour(at: datetime) -> datetime:
    return at if at == _hour(at) else _hour(at) + HOUR
