"""The watch as a whole: once a minute, by one worker at a time, and safe to miss, repeat and kill."""

from collections.abc import Iterator
from datetime import datetime
from threading import Barrier, Thread

import pytest
from django.db import DatabaseError, connection

from agents import tasks
from agents.models import GuardEvent, GuardRule, Mark, RuleMode, database_now
from agents.watch import LATE_MAX, MARK, episodes, retries, watch
from agents.watch.episodes import Sighting, goes_on
from tests import cast
from tests.agents.watch_house import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    days_of_the_book,
    every,
    fail,
    guard,
    look_once,
    rules,
    this_minute,
    write,
)  # fmt: skip


@pytest.fixture
def now() -> datetime:
    days_of_the_book(back=2)
    return this_minute()


@pytest.mark.django_db
def test_a_book_without_calls_is_looked_at_in_vain(now: datetime) -> None:
    assert watch(now) == 0
    assert Mark.of(MARK) == now


@pytest.mark.django_db
def test_looking_twice_is_like_looking_once(now: datetime) -> None:
    alice = cast.alice()
    write(alice, every(5 * SECOND, now - 5 * MINUTE, now - MINUTE), last_message_fingerprint=1)
    assert (look_once(now), look_once(now), watch(now + SECOND)) == (1, 0, 0)
    assert rules(alice) == ["loop_repeat"]


@pytest.mark.django_db
def test_a_run_that_dies_leaves_nothing_and_the_next_makes_it_up(
    now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = cast.alice()
    write(alice, every(5 * SECOND, now - 5 * MINUTE, now - MINUTE), last_message_fingerprint=1)
    Mark.move(MARK, now - 10 * MINUTE)

    def dies(seen: object) -> Iterator[Sighting]:
        raise DatabaseError("the connection is gone")

    with monkeypatch.context() as broken:
        broken.setattr(retries, "sightings", dies)
        with pytest.raises(DatabaseError):
            watch(now)
    assert (rules(alice), Mark.of(MARK)) == ([], now - 10 * MINUTE)
    assert watch(now) == 1


@pytest.mark.django_db
def test_what_is_long_past_when_the_worker_comes_back_is_left(now: datetime) -> None:
    alice = cast.alice()
    Mark.move(MARK, now - DAY)
    write(alice, every(5 * SECOND, now - LATE_MAX - 5 * MINUTE, now - LATE_MAX - MINUTE), last_message_fingerprint=1)
    watch(now)
    assert rules(alice) == []


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_writes_each_episode(now: datetime) -> None:
    alice = cast.alice()
    guard(alice, repeat_count=5)
    write(alice, every(5 * SECOND, now - 5 * MINUTE, now - MINUTE), last_message_fingerprint=1)
    Mark.move(MARK, now - 10 * MINUTE)
    found: list[int] = []
    barrier = Barrier(6)

    def work() -> None:
        barrier.wait()
        try:
            found.append(watch(now))
        finally:
            connection.close()

    threads = [Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(found), rules(alice)) == (1, ["loop_repeat"])


@pytest.mark.django_db
def test_the_task_looks_at_the_databases_now() -> None:
    alice = cast.alice()
    now = database_now()
    write(alice, every(SECOND, now - 40 * SECOND, now - 5 * SECOND), last_message_fingerprint=1)
    for _ in range(2):
        tasks.watch_agents.apply(throw=True)
    assert rules(alice) == ["loop_repeat"]


@pytest.mark.django_db
def test_an_episode_that_the_proxy_blocked_does_not_swallow_a_warning(now: datetime) -> None:
    """Once the rule is set back to warn, what is seen is news."""
    alice = cast.alice()
    GuardEvent.objects.create(
        organization=alice.organization, agent=alice.agent, rule=GuardRule.REPEAT, mode=RuleMode.BLOCK,
        episode_at=now - 10 * MINUTE,
    )  # fmt: skip
    write(alice, every(5 * SECOND, now - 5 * MINUTE, now - MINUTE), last_message_fingerprint=1)
    look_once(now)
    assert rules(alice) == ["loop_repeat", "loop_repeat"]


@pytest.mark.parametrize(
    ("rule", "began_ago", "last_ago", "expected"),
    [
        (GuardRule.REPEAT, 2 * HOUR, HOUR, True),
        (GuardRule.REPEAT, 2 * HOUR, HOUR + SECOND, False),
        (GuardRule.REPEAT, DAY - SECOND, MINUTE, True),
        (GuardRule.REPEAT, DAY, MINUTE, False),
        (GuardRule.BUSY, 6 * DAY, MINUTE, True),
        (GuardRule.BUSY, 7 * DAY, MINUTE, False),
        (GuardRule.SESSION, 39 * DAY, 20 * DAY, True),
        (GuardRule.BLOAT, 3 * HOUR, 2 * HOUR, False),
    ],
)
def test_an_episode_goes_on_until_nothing_is_seen_for_long_enough(
    rule: GuardRule, began_ago: object, last_ago: object, expected: bool
) -> None:
    at = datetime.fromisoformat("2026-11-25T12:00:00+00:00")
    sighting = Sighting(agent=episodes.Agent(), rule=rule, began_at=at, last_at=at)
    assert goes_on(at - began_ago, at - last_ago, sighting) is expected  # type: ignore[operator]


@pytest.mark.django_db
def test_each_agents_rules_read_its_own_calls(now: datetime) -> None:
    alice, charlie = cast.alice(), cast.charlie()
    write(alice, every(5 * SECOND, now - 5 * MINUTE, now - MINUTE), last_message_fingerprint=1)
    fail(charlie, every(5 * SECOND, now - 5 * MINUTE, now - MINUTE))
    look_once(now)
    assert (rules(alice), rules(charlie)) == (["loop_repeat"], ["retry_storm"])
