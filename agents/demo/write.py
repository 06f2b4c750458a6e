"""Writes the month: people and agents by the same actions as pages, calls and balances in bulk, all in one commit."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import batched
from zoneinfo import ZoneInfo

import orjson
from django.db import connection, transaction

from accounts.ids import uuid7
from accounts.members import create_organization
from accounts.models import Organization, User
from agents import budgets, keys
from agents.demo.cast import ACTORS, DAYS, ORGANIZATION, ZONES, Actor
from agents.demo.month import Deed, day_of_calls
from agents.ledger import partitions
from agents.models import (
    Agent,
    AgentKey,
    Balance,
    Basis,
    Budget,
    Call,
    CallStatus,
    KeyMode,
    PriceBookVersion,
)  # fmt: skip
from agents.money import parse_usd
from agents.pricebook import BOOK_PATH, current_book

_BATCH = 2000
_AFTERNOON_HOUR = 16


@dataclass(frozen=True, slots=True)
class Demo:
    """What was written."""

    organization: Organization
    since_at: datetime
    call_count: int


@dataclass(frozen=True, slots=True)
class _Player:
    """An actor with its rows: the agent, a key and the budget that holds it."""

    actor: Actor
    agent: Agent
    key: AgentKey
    budget: Budget


@dataclass(frozen=True, slots=True)
class _Day:
    date: date
    days_ago: int
    start_at: datetime
    end_at: datetime


def existing_demo(owner: User) -> Organization | None:
    """The demonstration that this person owns already."""
    return Organization.objects.filter(name=ORGANIZATION, memberships__user=owner).first()


def write_demo(owner: User, at: datetime, *, zone: str | None = None, day_count: int = DAYS) -> Demo:
    """Found the organisation with its agents and write their month up to `at`.

    day_count: closed days before the open one.
    """
    zone = zone or _afternoon_zone(at)
    days = list(_days(at, zone, day_count))
    partitions.ensure(days_back=day_count + 3, days_ahead=2)
    with transaction.atomic():
        organization = create_organization(ORGANIZATION, owner=owner, time_zone=zone)
        meter = budgets.ensure_organization_meter(organization)
        players = [_player(actor, organization, owner) for actor in ACTORS]
        _keep_price_book()
        written = sum(_write_day(organization, meter, players, day, at) for day in days)
        _settle_in(organization, players, days[0].start_at, at)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE call")
    return Demo(organization, days[0].start_at, written)


def _afternoon_zone(at: datetime) -> str:
    def distance(zone: str) -> float:
        local = at.astimezone(ZoneInfo(zone))
        return abs(local.hour + local.minute / 60 - _AFTERNOON_HOUR)

    return min(ZONES, key=distance)


def _days(at: datetime, zone: str, day_count: int) -> Iterator[_Day]:
    local = ZoneInfo(zone)
    today = at.astimezone(local).date()
    for days_ago in range(day_count, -1, -1):
        day = today - timedelta(days=days_ago)
        start_at, end_at = (
            datetime(one.year, one.month, one.day, tzinfo=local).astimezone(UTC)
            for one in (day, day + timedelta(days=1))
        )
        yield _Day(day, days_ago, start_at, end_at)


def _player(actor: Actor, organization: Organization, owner: User) -> _Player:
    agent = budgets.create_agent(organization, actor.name, daily_limit_pico=parse_usd(actor.daily_usd), by=owner)
    key, _ = keys.issue(agent, KeyMode.LIVE, by=owner, name="Production")
    keys.issue(agent, KeyMode.TEST, by=owner, name="Laptop")
    budget = Budget.objects.get(agent=agent, scope="agent", unit="usd", window="day", ended_at=None)
    return _Player(actor, agent, key, budget)


def _keep_price_book() -> None:
    """The audit prices calls again by the book that priced them."""
    PriceBookVersion.objects.get_or_create(
        version=current_book().version, defaults={"content": BOOK_PATH.read_text(encoding="utf-8")}
    )


def _write_day(organization: Organization, meter: Budget, players: list[_Player], day: _Day, at: datetime) -> int:
    """One day of every agent: its calls, and the balances that they add up to."""
    whole = _open_balance(meter, day)
    rows: list[Call] = []
    for player in players:
        deeds = list(_deeds(player, day, at))
        if not deeds:
            continue
        own = _open_balance(player.budget, day)
        rows += [_call(organization, player, deed, [whole.id, own.id]) for deed in deeds]
        Balance.objects.filter(id=own.id).update(spent=sum(deed.cost_pico for deed in deeds))
    Balance.objects.filter(id=whole.id).update(spent=sum(row.cost_pico for row in rows))
    _insert(rows)
    return len(rows)


def _insert(rows: list[Call]) -> None:
    """Put rows into the book as one document for each batch: Django's own bulk insert takes five times as long."""
    names = [field.column for field in Call._meta.concrete_fields if field.column]
    columns = ", ".join(names)
    statement = f"INSERT INTO call ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::call, %s)"  # noqa: S608  # names of the model
    with connection.cursor() as cursor:
        for batch in batched(rows, _BATCH, strict=False):
            facts = [{name: getattr(row, name) for name in names} for row in batch]
            cursor.execute(statement, [orjson.dumps(facts).decode()])


def _deeds(player: _Player, day: _Day, at: datetime) -> Iterator[Deed]:
    return day_of_calls(
        player.actor,
        day.date,
        days_ago=day.days_ago,
        start_at=day.start_at,
        until_at=min(at, day.end_at),
        limit_pico=player.budget.limit or 0,
        book=current_book(),
    )


def _open_balance(budget: Budget, day: _Day) -> Balance:
    return Balance.objects.create(
        budget=budget, window_start=day.start_at, window_end=day.end_at, opened_at=day.start_at
    )


def _call(organization: Organization, player: _Player, deed: Deed, balance_ids: list[int]) -> Call:
    """The row of the book, as the ledger would have written it."""
    habit = deed.habit
    refused = deed.refused_spent_pico is not None
    call = Call(
        call_id=uuid7(int(deed.at.timestamp() * 1000)), organization_id=organization.id, agent_id=player.agent.id,
        key_id=player.key.id, reserved_at=deed.at, ended_at=deed.at, provider=habit.provider, model=habit.model,
        endpoint=_endpoint(habit.provider), streamed=habit.streamed, session=deed.session, user_subject=deed.user,
        system_bytes=habit.system_bytes, price_version=current_book().version, held_pico=deed.ceiling_pico,
        tags=player.actor.tags or None,
    )  # fmt: skip
    if refused:
        _refuse(call, player, deed)
    else:
        _end(call, deed, balance_ids)
    return call


def _refuse(call: Call, player: _Player, deed: Deed) -> None:
    call.status, call.reason, call.http_status = CallStatus.REFUSED, "budget_exceeded", 429
    call.repeat_count = deed.repeat_count
    call.held_pico = deed.ceiling_pico * deed.repeat_count  # a flood's row has the sum of what its calls asked
    call.facts = {
        "budget_id": player.budget.id, "limit": player.budget.limit, "spent": deed.refused_spent_pico, "held": 0,
        "asked": deed.ceiling_pico,
    }  # fmt: skip


def _end(call: Call, deed: Deed, balance_ids: list[int]) -> None:
    usage = deed.usage
    call.balance_ids = balance_ids
    call.duration_ms, call.first_byte_ms = deed.duration_ms, deed.first_byte_ms
    call.ended_at = deed.at + timedelta(milliseconds=deed.duration_ms)
    if deed.failed:
        call.status, call.reason, call.http_status, call.failed = CallStatus.VOIDED, "provider_error", 529, True
        return
    call.status, call.basis, call.http_status = CallStatus.SETTLED, Basis.USAGE, 200
    call.cost_pico, call.tokens, call.counted = deed.cost_pico, usage.total_tokens, 1
    call.input_tokens, call.output_tokens = usage.input, usage.output
    call.cache_read_tokens, call.cache_write_tokens = usage.cache_read, usage.cache_write
    call.reasoning_tokens, call.tool_call_count = usage.reasoning, deed.tool_call_count
    call.pricing = {"row": deed.row_id}
    call.provider_request_id = f"req_{call.call_id.hex[-20:]}"


def _settle_in(organization: Organization, players: list[_Player], since_at: datetime, at: datetime) -> None:
    """Make the organisation as old as its calls, and put the agents into their states."""
    Organization.objects.filter(id=organization.id).update(created_at=since_at)
    Budget.objects.filter(organization=organization).update(created_at=since_at)
    for player in players:
        if player.actor.is_new:
            continue
        Agent.objects.filter(id=player.agent.id).update(created_at=since_at, first_call_at=since_at)
        AgentKey.objects.filter(agent=player.agent).update(created_at=since_at)
        AgentKey.objects.filter(id=player.key.id).update(last_used_at=at)
        if player.actor.paused:
            budgets.pause(player.agent, by=None)


def _endpoint(provider: str) -> str:
    return "messages" if provider == "anthropic" else "chat"
