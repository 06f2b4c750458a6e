"""Rules against loops, read from the book: the same message, very long sessions, work without a pause."""

from datetime import datetime, timedelta

import pytest

from agents.models import CallStatus, GuardRule, RuleMode
from tests import cast
from tests.agents.watch_house import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    days_of_the_book,
    events,
    every,
    guard,
    look,
    look_once,
    rules,
    this_minute,
    write,
)  # fmt: skip

pytestmark = pytest.mark.django_db
SAME = 4711


@pytest.fixture
def now() -> datetime:
    days_of_the_book(back=10)
    return this_minute()


# The same message


@pytest.mark.parametrize(
    ("times", "minutes", "expected"), [(9, 4, []), (10, 4, ["loop_repeat"]), (10, 5, ["loop_repeat"]), (10, 5.05, [])]
)
def test_ten_like_messages_within_five_minutes_are_a_loop(
    now: datetime, times: int, minutes: float, expected: list[str]
) -> None:
    alice = cast.alice()
    first = now - 6 * MINUTE
    moments = [first + number * timedelta(minutes=minutes) / (times - 1) for number in range(times)]
    write(alice, moments, last_message_fingerprint=SAME)
    look(every(MINUTE, now - 5 * MINUTE, now))
    assert rules(alice) == expected


def test_a_loop_says_model_count_and_time_and_begins_with_its_first_call(now: datetime) -> None:
    alice = cast.alice()
    write(alice, every(10 * SECOND, now - 5 * MINUTE, now - MINUTE), last_message_fingerprint=SAME)
    assert look_once(now) == 1
    (event,) = events(alice)
    assert (event.mode, event.session, event.episode_at, event.until_at) == ("warn", "", now - 5 * MINUTE, None)
    assert (event.facts["model"], event.facts["count"], event.facts["minutes"]) == ("gpt-4o-mini", 10, 5)


def test_a_loop_that_goes_on_for_hours_is_one_episode_and_one_after_a_break_another(now: datetime) -> None:
    alice = cast.alice()
    for began in (now - 8 * HOUR, now - 2 * HOUR):
        write(alice, every(20 * SECOND, began, began + HOUR), last_message_fingerprint=SAME)
    found = look(every(5 * MINUTE, now - 8 * HOUR, now))
    assert sum(found) == 2
    assert [event.episode_at for event in events(alice)] == [now - 8 * HOUR, now - 2 * HOUR]


def test_a_loop_that_goes_on_for_days_is_told_again_after_a_day(now: datetime) -> None:
    alice = cast.alice()
    guard(alice, busy_mode=RuleMode.OFF)
    write(alice, every(20 * SECOND, now - 25 * HOUR, now), last_message_fingerprint=SAME)
    look(every(30 * MINUTE, now - 25 * HOUR, now))
    assert rules(alice) == ["loop_repeat", "loop_repeat"]


@pytest.mark.parametrize(
    "columns",
    [
        {"last_message_fingerprint": 0},
        {"last_message_fingerprint": lambda number: number},
        {"model": lambda number: f"model-{number}"},
        {"status": CallStatus.REFUSED},
        {"status": CallStatus.CACHED},
        {"practice": True},
        {"seq": 1, "status": CallStatus.CORRECTED},
    ],
)
def test_other_messages_models_and_calls_that_never_left_are_no_loop(now: datetime, columns: dict[str, object]) -> None:
    alice = cast.alice()
    write(alice, every(10 * SECOND, now - 4 * MINUTE, now - MINUTE), **({"last_message_fingerprint": SAME} | columns))
    look_once(now)
    assert rules(alice) == []


def test_two_agents_that_ask_the_same_are_no_loop(now: datetime) -> None:
    alice, charlie = cast.alice(), cast.charlie()
    for number, person in enumerate([alice, charlie] * 9):
        write(person, [now - 4 * MINUTE + number * SECOND], last_message_fingerprint=SAME)
    look_once(now)
    assert rules(alice) == rules(charlie) == []


def test_a_rule_counts_as_the_agent_is_set(now: datetime) -> None:
    alice, charlie = cast.alice(), cast.charlie()
    guard(alice, repeat_count=3, repeat_minutes=60)
    for person in (alice, charlie):
        write(person, every(25 * MINUTE, now - 55 * MINUTE, now - 5 * MINUTE), last_message_fingerprint=SAME)
    look(every(MINUTE, now - 20 * MINUTE, now))
    assert (rules(alice), rules(charlie)) == (["loop_repeat"], [])


@pytest.mark.parametrize("mode", [RuleMode.OFF, RuleMode.BLOCK])
def test_a_rule_that_is_off_or_blocks_is_not_warned_of(now: datetime, mode: str) -> None:
    """What blocks, blocks in the proxy and is noted there."""
    alice = cast.alice()
    guard(alice, repeat_mode=mode)
    write(alice, every(SECOND, now - 3 * MINUTE, now - MINUTE), last_message_fingerprint=SAME)
    look_once(now)
    assert rules(alice) == []


def test_what_the_worker_missed_is_made_up_within_an_hour(now: datetime) -> None:
    alice = cast.alice()
    look([now - 2 * HOUR])
    write(alice, every(10 * SECOND, now - 50 * MINUTE, now - 48 * MINUTE), last_message_fingerprint=SAME)
    look_once(now)
    assert rules(alice) == ["loop_repeat"]


# Sessions


def test_the_call_after_the_five_hundredth_of_a_session_is_told_once(now: datetime) -> None:
    alice = cast.alice()
    moments = every(SECOND, now - 20 * MINUTE, now - 20 * MINUTE + 509 * SECOND)
    write(alice, moments[:500], session="run-7")
    write(alice, moments[:400], session="run-8")
    write(alice, moments[:510], session="")
    look([moments[499] + SECOND])
    assert rules(alice) == []
    write(alice, moments[500:501], session="run-7")
    look([moments[500] + 2 * SECOND])
    assert rules(alice) == ["loop_session"]
    write(alice, moments[501:], session="run-7")
    look(every(MINUTE, now - 11 * MINUTE, now))
    (event,) = events(alice)
    assert (event.rule, event.session, event.facts["calls"]) == (GuardRule.SESSION, "run-7", 500)


def test_a_session_of_the_same_name_of_another_agent_is_another(now: datetime) -> None:
    alice = cast.alice()
    guard(alice, session_calls=5)
    other = cast.charlie()
    for person in (alice, other):
        write(person, every(SECOND, now - MINUTE, now - 57 * SECOND), session="run-7")
    look_once(now)
    assert rules(alice) == rules(other) == []


def stop(person: cast.Person, moments: list[datetime], session: str, facts: dict[str, str] | None = None) -> None:
    write(person, moments, session=session, status=CallStatus.REFUSED, reason="loop_detected", facts=facts, cost_pico=0)


def test_a_session_that_the_ledger_stopped_is_told_once(now: datetime) -> None:
    alice = cast.alice()
    guard(alice, session_mode=RuleMode.BLOCK, session_calls=5)
    stop(alice, every(20 * SECOND, now - 30 * MINUTE, now), "run-7")
    look(every(2 * MINUTE, now - 30 * MINUTE, now))
    (event,) = events(alice)
    assert (event.rule, event.mode, event.session) == (GuardRule.SESSION, RuleMode.BLOCK, "run-7")
    assert (event.facts["calls"], event.until_at, event.episode_at) == (5, None, now - 30 * MINUTE)


def test_what_other_rules_stopped_in_a_session_is_not_said_twice(now: datetime) -> None:
    alice = cast.alice()
    guard(alice, session_mode=RuleMode.BLOCK)
    stop(alice, [now - 30 * SECOND], "run-7", {"rule": "loop_busy"})
    stop(alice, [now - 30 * SECOND], "")
    look([now])
    assert rules(alice) == []


# No pause


@pytest.mark.parametrize(
    ("step", "hours", "expected"),
    [(299 * SECOND, 8.2, ["loop_busy"]), (302 * SECOND, 8.2, []), (60 * SECOND, 7.9, [])],
)
def test_eight_hours_without_a_pause_of_five_minutes_are_told(
    now: datetime, step: timedelta, hours: float, expected: list[str]
) -> None:
    alice = cast.alice()
    write(alice, every(step, now - timedelta(hours=hours), now))
    look(every(2 * MINUTE, now - HOUR, now))
    assert rules(alice) == expected


def test_one_pause_ends_the_work(now: datetime) -> None:
    alice = cast.alice()
    moments = every(MINUTE, now - 9 * HOUR, now)
    write(alice, [at for at in moments if not timedelta(0) < at - (now - 4 * HOUR) <= 5 * MINUTE])
    look(every(2 * MINUTE, now - HOUR, now))
    assert rules(alice) == []


def test_a_long_call_is_work_until_it_ends(now: datetime) -> None:
    """Calls of twenty minutes, one after the other: their beginnings lie far apart, and still nobody pauses."""
    alice = cast.alice()
    moments = every(20 * MINUTE, now - 9 * HOUR, now - 20 * MINUTE)
    rows = write(alice, moments[:0])
    for at in moments:
        rows += write(alice, [at], ended_at=at + 19 * MINUTE)
    look(every(5 * MINUTE, now - HOUR, now))
    assert rules(alice) == ["loop_busy"]


def test_work_that_goes_on_day_and_night_is_one_episode_for_a_week(now: datetime) -> None:
    alice = cast.alice()
    write(alice, every(4 * MINUTE, now - 3 * DAY, now))
    assert sum(look(every(HOUR, now - 3 * DAY, now))) == 1
    (event,) = events(alice)
    assert timedelta(0) <= event.episode_at - (now - 3 * DAY) <= HOUR


def test_work_of_the_next_day_is_another_episode(now: datetime) -> None:
    alice = cast.alice()
    for began in (now - 34 * HOUR, now - 10 * HOUR):
        write(alice, every(4 * MINUTE, began, began + 9 * HOUR))
    assert sum(look(every(30 * MINUTE, now - 26 * HOUR, now))) == 2
