"""Blocks become rows, once each; what cannot be written breaks nothing."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError

from agents.callers import Caller, caller_for
from agents.models import GuardEvent, GuardRule
from proxy.guards.events import EventWriter
from tests import cast

AT = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)


@pytest.fixture(scope="module")
def people(committed_database: str) -> cast.Person:
    return cast.alice()


@pytest.fixture
def writer(people: cast.Person) -> Iterator[EventWriter]:
    GuardEvent.objects.all().delete()
    ready = EventWriter()
    yield ready
    ready.close()


def add(writer: EventWriter, caller: Caller, rule: GuardRule, *, session: str = "", at: datetime = AT) -> None:
    writer.add(caller, rule, session=session, at=at, until=at + timedelta(minutes=5), facts={"count": 3})


def test_a_loop_is_one_row_for_each_trip_and_a_hold_one_for_each_hour(people: cast.Person, writer: EventWriter) -> None:
    caller, other = caller_for(people.live_key), EventWriter()
    for minutes in (0, 1, 30):
        for of_a_process in (writer, other):
            add(of_a_process, caller, GuardRule.REPEAT, at=AT + timedelta(minutes=minutes))
            add(of_a_process, caller, GuardRule.RETRIES, session="run", at=AT + timedelta(minutes=minutes))
    other.close()
    writer.close()
    kept = GuardEvent.objects.order_by("rule", "episode_at").values_list("rule", "session", "episode_at", "mode")
    assert list(kept) == [
        ("loop_repeat", "", AT.replace(second=0), "block"),
        ("loop_repeat", "", AT.replace(minute=35, second=0), "block"),
        ("loop_repeat", "", AT.replace(hour=13, minute=4, second=0), "block"),
        ("retry_storm", "run", AT.replace(minute=0, second=0), "block"),
        ("retry_storm", "run", AT.replace(hour=13, minute=0, second=0), "block"),
    ]
    (first,) = GuardEvent.objects.filter(rule="loop_repeat", episode_at=AT.replace(second=0))
    assert (first.organization_id, first.until_at, first.facts) == (
        people.organization.id, AT + timedelta(minutes=5), {"count": 3, "policy_version": caller.agent_version},
    )  # fmt: skip


def test_test_calls_alarm_nobody(people: cast.Person, writer: EventWriter) -> None:
    add(writer, caller_for(people.test_key), GuardRule.REPEAT)
    writer.close()
    assert not GuardEvent.objects.exists()


def test_a_database_that_is_away_costs_the_event_and_nothing_else(
    people: cast.Person, writer: EventWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OperationalError("no")

    monkeypatch.setattr(type(GuardEvent.objects), "bulk_create", refuse)
    with caplog.at_level(logging.ERROR, "proxy.guards.events"):
        add(writer, caller_for(people.live_key), GuardRule.REPEAT)
        writer.close()
    assert "could not be written" in caplog.text


def test_what_comes_after_the_end_is_lost_and_said(
    people: cast.Person, writer: EventWriter, caplog: pytest.LogCaptureFixture
) -> None:
    writer.close()
    add(writer, caller_for(people.live_key), GuardRule.REPEAT)
    assert "is lost" in caplog.text
