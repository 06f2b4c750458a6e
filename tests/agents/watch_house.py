"""Books in which agents loop, storm and grow, and the minutes in which the watch looks at them."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from django.db import connection

from accounts.ids import uuid7
from agents.models import Basis, Call, CallStatus, GuardEvent, Guards, Mark, database_now
from agents.watch import MARK, watch
from tests.cast import Person

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_messages = count(1)


def days_of_the_book(back: int) -> None:
    """Make the partitions of so many days in the past."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT ensure_partitions(%s, 2)", [back])


def this_minute() -> datetime:
    return database_now().replace(second=0, microsecond=0)


def write(person: Person, moments: Iterable[datetime], **columns: Any) -> list[Call]:
    """Add settled calls to the book that began at these moments and took a second; each asks something else.

    columns: what differs; a function of the call's number gives each its own value.
    """
    rows = [_call(person, at, number, columns) for number, at in enumerate(moments)]
    return Call.objects.bulk_create(rows)


def fail(person: Person, moments: Iterable[datetime], **columns: Any) -> list[Call]:
    """Add calls that the provider turned down: not charged, failed."""
    failed = {
        "status": CallStatus.VOIDED, "basis": Basis.NONE, "cost_pico": 0, "failed": True, "http_status": 400,
        "reason": "provider_error", "input_tokens": 0, "output_tokens": 0,
    }  # fmt: skip
    return write(person, moments, **(failed | columns))


def every(step: timedelta, since: datetime, until: datetime) -> list[datetime]:
    """The moments from one to another, both included."""
    return [since + number * step for number in range(int((until - since) / step) + 1)]


def look(moments: Iterable[datetime]) -> list[int]:
    """Let the watch look at these moments; return how many new episodes each look found."""
    return [watch(at) for at in moments]


def look_once(at: datetime) -> int:
    """Let the watch look at the hour before a moment, as after a break of the worker."""
    Mark.move(MARK, at - 58 * MINUTE)
    return watch(at)


def guard(person: Person, **settings: Any) -> None:
    Guards.objects.update_or_create(agent=person.agent, defaults=settings)


def events(person: Person) -> list[GuardEvent]:
    return list(GuardEvent.objects.filter(agent=person.agent).order_by("episode_at", "rule"))


def rules(person: Person) -> list[str]:
    return [event.rule for event in events(person)]


def _call(person: Person, at: datetime, number: int, columns: dict[str, Any]) -> Call:
    values: dict[str, Any] = {
        "call_id": uuid7(int(at.timestamp() * 1000)), "organization_id": person.organization.id,
        "agent_id": person.agent.id, "reserved_at": at, "ended_at": at + SECOND, "cost_pico": 10**10,
        "held_pico": 10**11, "status": CallStatus.SETTLED, "basis": Basis.USAGE, "provider": "openai",
        "model": "gpt-4o-mini", "input_tokens": 100, "output_tokens": 10, "counted": 1,
        "last_message_fingerprint": next(_messages),
    }  # fmt: skip
    own = {name: value(number) if callable(value) else value for name, value in columns.items()}
    return Call(**(values | own))
