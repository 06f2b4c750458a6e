"""Retry storms and growing contexts, read from the book."""

from collections.abc import Sequence
from datetime import datetime

import pytest

from agents.models import GuardRule, RuleMode
from agents.watch.bloat import doubled_since
from agents.watch.retries import is_storm
from tests import cast
from tests.agents.watch_house import (
    HOUR,
    MINUTE,
    SECOND,
    days_of_the_book,
    events,
    every,
    fail,
    guard,
    look,
    look_once,
    rules,
    this_minute,
    write,
)  # fmt: skip
from tests.cast import Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def now() -> datetime:
    days_of_the_book(back=2)
    return this_minute()


@pytest.mark.parametrize(
    ("retries", "calls", "failures", "expected"),
    [
        (1, 3, 1, False),
        (19, 19, 19, False),
        (1, 20, 5, False),
        (2, 20, 5, True),
        (5, 100, 5, False),
        (6, 100, 5, True),
        (60, 100, 4, False),
    ],
)
def test_a_storm_is_more_than_its_share_of_enough_calls(
    retries: int, calls: int, failures: int, expected: bool
) -> None:
    assert is_storm(retries, calls, failures, 5) is expected


def quiet_calls(person: Person, now: datetime, count: int) -> None:
    """Calls that follow no failure."""
    write(person, [now - 50 * MINUTE + number * SECOND for number in range(count)])


def test_calls_that_follow_failed_ones_are_counted_whatever_they_ask(now: datetime) -> None:
    """The last of them a minute after the failure ended, which itself took a second."""
    alice = cast.alice()
    quiet_calls(alice, now, 10)
    for minutes, seconds in ((25, 2), (20, 30), (15, 30), (10, 30), (5, 61)):
        fail(alice, [now - minutes * MINUTE])
        write(alice, [now - minutes * MINUTE + seconds * SECOND])
    look_once(now)
    (event,) = events(alice)
    assert (event.rule, event.session) == (GuardRule.RETRIES, "")
    assert (event.facts["retries"], event.facts["calls"], event.facts["percent"]) == (5, 20, 25)
    assert event.facts["cost_pico"] == 5 * 10**10
    assert event.episode_at == now - 25 * MINUTE


def test_a_call_more_than_a_minute_after_the_failure_is_no_retry(now: datetime) -> None:
    alice = cast.alice()
    quiet_calls(alice, now, 10)
    for minutes in (25, 20, 15, 10, 5):
        fail(alice, [now - minutes * MINUTE])
        write(alice, [now - minutes * MINUTE + 62 * SECOND])
    look_once(now)
    assert rules(alice) == []


def test_one_retry_of_three_calls_is_no_storm(now: datetime) -> None:
    alice = cast.alice()
    fail(alice, [now - 3 * MINUTE])
    write(alice, [now - 3 * MINUTE + 5 * SECOND, now - 2 * MINUTE])
    look_once(now)
    assert rules(alice) == []


def test_calls_that_ran_side_by_side_do_not_follow_each_other(now: datetime) -> None:
    alice = cast.alice()
    fail(alice, [now - 2 * MINUTE] * 30)
    fail(alice, [now - 10 * MINUTE] * 30, ended_at=now - 10 * MINUTE)  # failed at once
    look_once(now)
    assert rules(alice) == []


def test_a_failure_of_one_session_is_not_retried_by_another(now: datetime) -> None:
    alice = cast.alice()
    for number in range(15):
        at = now - 30 * MINUTE + number * MINUTE
        fail(alice, [at], session="one")
        write(alice, [at + 5 * SECOND], session="two")
    look_once(now)
    # Its own next call comes 59 seconds after the failure.
    assert [event.facts["retries"] for event in events(alice)] == [14]


@pytest.mark.parametrize("reason", ["stopped", "drain_ended", "interrupted"])
def test_what_we_or_the_client_broke_off_is_no_failure(now: datetime, reason: str) -> None:
    alice = cast.alice()
    fail(alice, every(10 * SECOND, now - 10 * MINUTE, now - MINUTE), reason=reason)
    look_once(now)
    assert rules(alice) == []


def test_a_storm_that_is_over_is_not_seen_again_while_its_hour_lasts(now: datetime) -> None:
    alice = cast.alice()
    fail(alice, every(5 * SECOND, now - 55 * MINUTE, now - 50 * MINUTE))
    found = look(every(5 * MINUTE, now - 55 * MINUTE, now + HOUR))
    assert sum(found) == 1


def test_a_storm_below_the_agents_own_share_is_not_told(now: datetime) -> None:
    alice = cast.alice()
    guard(alice, retry_percent=90)
    fail(alice, every(10 * SECOND, now - 10 * MINUTE, now - MINUTE))
    write(alice, every(SECOND, now - 40 * MINUTE, now - 39 * MINUTE))
    look_once(now)
    assert rules(alice) == []


# Growing contexts


@pytest.mark.parametrize(
    ("contexts", "calls_max", "expected"),
    [
        ([4_000, 8_000, 16_000], 20, 0),
        ([4_000, 8_000, 15_999], 20, None),
        ([3_999, 8_000, 16_000], 20, None),
        ([1_000, 2_000, 4_000, 8_000], 20, None),
        ([1_000, 2_000, 4_000, 8_000, 16_000], 20, 2),
        ([5_000, 40_000], 20, None),
        ([4_000, 4_000, 8_000, 8_000, 16_000], 2, 0),
        ([4_000, 4_000, 4_000, 8_000, 8_000, 16_000], 2, 1),
        ([4_000, 8_000, 8_000, 8_000, 8_000, 16_000], 2, None),
        ([4_000], 20, None),
        ([], 20, None),
    ],
)
def test_a_context_that_doubles_twice_in_a_row_within_the_calls_keeps_growing(
    contexts: Sequence[int], calls_max: int, expected: int | None
) -> None:
    assert doubled_since(contexts, calls_max) == expected


def test_a_session_whose_input_doubles_twice_is_told_with_its_numbers(now: datetime) -> None:
    alice = cast.alice()
    sizes = [2_000, 4_000, 6_000, 8_000, 12_000, 16_000]
    moments = every(10 * SECOND, now - 2 * MINUTE, now - 2 * MINUTE + 50 * SECOND)
    parts = {"input_tokens": lambda n: sizes[n] // 4, "cache_read_tokens": lambda n: sizes[n] * 3 // 4}
    write(alice, moments, session="run-7", **parts)
    look_once(now)
    (event,) = events(alice)
    assert (event.rule, event.session) == (GuardRule.BLOAT, "run-7")
    assert (event.facts["from_tokens"], event.facts["to_tokens"], event.facts["calls"]) == (4_000, 16_000, 4)


def test_small_calls_in_between_change_nothing(now: datetime) -> None:
    alice = cast.alice()
    sizes = [15_000, 300, 15_500, 300, 900, 16_000, 200, 17_000]
    moments = every(5 * SECOND, now - 2 * MINUTE, now - 85 * SECOND)
    write(alice, moments, session="run-7", input_tokens=lambda n: sizes[n])
    look_once(now)
    assert rules(alice) == []


def test_calls_without_a_session_and_of_several_sessions_are_no_context(now: datetime) -> None:
    alice = cast.alice()
    for number, tokens in enumerate((4_000, 8_000, 16_000, 32_000)):
        write(alice, [now - 2 * MINUTE + number * SECOND], session="", input_tokens=tokens)
        write(alice, [now - 2 * MINUTE + number * SECOND], session=f"run-{number}", input_tokens=tokens)
    look_once(now)
    assert rules(alice) == []


def test_calls_without_usage_say_nothing_about_the_context(now: datetime) -> None:
    alice = cast.alice()
    write(alice, [now - 2 * MINUTE], session="run-7", input_tokens=20_000)
    fail(alice, [now - 100 * SECOND], session="run-7")
    write(alice, [now - 90 * SECOND, now - 80 * SECOND], session="run-7", input_tokens=20_000)
    look_once(now)
    assert rules(alice) == []


def test_a_rule_that_is_off_sees_nothing(now: datetime) -> None:
    alice = cast.alice()
    guard(alice, retry_mode=RuleMode.OFF, bloat_mode=RuleMode.OFF)
    fail(alice, every(5 * SECOND, now - 10 * MINUTE, now - MINUTE))
    write(
        alice, every(SECOND, now - 80 * SECOND, now - 70 * SECOND), session="run-7", input_tokens=lambda n: 4_000 * 2**n
    )
    look_once(now)
    assert rules(alice) == []
