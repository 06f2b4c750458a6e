"""F6: Valkey is flushed, killed and frozen again and again under load: budgets hold, guards degrade and say so."""

import asyncio
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from agents.audit import audit
from agents.money import usd_exact
from tests.proxy.budget_under_load import WORDS, ceiling_of_one
from tests.proxy.guards.guarded import guarded
from tests.proxy.guards.test_valkey_away import degraded_count
from tests.proxy.load import Outcome, call, chat_body
from tests.proxy.stage import Stage, Worker, all_settled, stage
from tests.valkey import PrivateValkey, private_valkey

FAULTS = int(os.environ.get("SHREDDER_FAULT_VALKEY", "12"))
FITS = 800
CALLS_PER_SECOND = 40
RUNNING_MAX = 50
AWAY_SECONDS = 3.0
SECONDS_BETWEEN = 2.0
SAID_SECONDS_MAX = 30.0
# A call may meet one time-out of Valkey on its way in; what comes behind it no longer waits.
CALL_SECONDS_MAX = 5.0


@dataclass
class Course:
    """What the load and the faults saw."""

    outcome: Outcome = field(default_factory=Outcome)
    slowest_seconds: float = 0.0
    degraded_seen: float = 0.0


@pytest.fixture
def scene(committed_database: str, tmp_path: Path) -> Iterator[tuple[Stage, PrivateValkey]]:
    with (
        private_valkey(tmp_path) as valkey,
        stage(tmp_path, workers=2, environment={"REDIS_URL": valkey.url}) as on,
    ):
        yield on, valkey


def test_budgets_hold_while_valkey_is_flushed_killed_and_frozen(scene: tuple[Stage, PrivateValkey]) -> None:
    on, valkey = scene
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    limit_pico = FITS * ceiling_of_one(on)
    worker = guarded(
        on, usd_exact(limit_pico), calls_per_minute=10**6, tokens_per_minute=10**12, busy_mode="block",
        retry_mode="block",
    )  # fmt: skip
    on.fake.reset()
    course = asyncio.run(_run(on, valkey, worker, random.Random(seed)))
    all_settled()
    print(course, f"billed {on.fake.stats()['billed']}")
    assert set(course.outcome.statuses) == {200, 429}, course
    assert set(course.outcome.reasons) <= {"budget_exceeded", "held_in_flight"}, course
    assert course.outcome.statuses[200] == FITS == on.fake.stats()["billed"]
    assert worker.spent_pico == limit_pico == on.fake.billed_pico()
    assert worker.held_pico == 0
    assert course.degraded_seen == 2, "both processes said that they count alone"
    assert course.slowest_seconds < CALL_SECONDS_MAX
    report = audit()
    assert report.ok, "\n".join(report.lines())
    _until_recovered(on)


async def _run(on: Stage, valkey: PrivateValkey, worker: Worker, chance: random.Random) -> Course:
    """Offer calls at a steady rate while faults come and go; the budget is used up on the way."""
    course, running = Course(), set[asyncio.Task[None]]()
    loop = asyncio.get_running_loop()
    faults = asyncio.create_task(_break(on, valkey, chance, course))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        next_at = loop.time()
        while not faults.done():
            if len(running) < RUNNING_MAX:
                task = asyncio.create_task(_call(session, on, worker, course))
                running.add(task)
                task.add_done_callback(running.discard)
            next_at += 1 / CALLS_PER_SECOND
            await asyncio.sleep(max(0, next_at - loop.time()))
        await asyncio.gather(*running)
    await faults
    return course


async def _call(session: aiohttp.ClientSession, on: Stage, worker: Worker, course: Course) -> None:
    began = time.monotonic()
    await call(session, on.server.address, worker.key, chat_body(WORDS), course.outcome)
    course.slowest_seconds = max(course.slowest_seconds, time.monotonic() - began)


async def _break(on: Stage, valkey: PrivateValkey, chance: random.Random, course: Course) -> None:
    for number in range(FAULTS):
        await asyncio.sleep(SECONDS_BETWEEN * chance.uniform(0.5, 1.5))
        fault = ("flush", "kill", "freeze")[number % 3]
        if fault == "flush":
            await asyncio.to_thread(valkey.ask, "FLUSHALL")
            continue
        await asyncio.to_thread(valkey.stop if fault == "kill" else valkey.freeze)
        try:
            await asyncio.sleep(AWAY_SECONDS)
            said = await asyncio.to_thread(degraded_count, on)
            course.degraded_seen = max(course.degraded_seen, said)
        finally:
            await asyncio.to_thread(valkey.start if fault == "kill" else valkey.thaw)


def _until_recovered(on: Stage) -> None:
    deadline = time.monotonic() + SAID_SECONDS_MAX
    while degraded_count(on) > 0:
        assert time.monotonic() < deadline, "a process never said that Valkey is back"
        time.sleep(0.2)
