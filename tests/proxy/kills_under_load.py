"""Processes that are killed under load: what they held is charged, and the ledger never falls behind the bill."""

import asyncio
import random
import time
from collections import Counter
from decimal import Decimal

from django.db import connection

from agents.models import Reservation
from agents.money import PICO_PER_USD
from tests.proxy.closing import audit_is_green
from tests.proxy.load import Outcome, call, chat_body, client_session
from tests.proxy.stage import Stage, Worker
from tests.servers import wait_until_ready

CALLS_PER_SECOND = 100
RUNNING_MAX = 50
# While one process is replaced, another serves.
SERVING_MIN = 2
# A hold outlives the total time-out by two minutes where no neighbour sees that its process is gone.
SWEPT_SECONDS_MAX = 240.0


def kills_lose_nothing(on: Stage, *, kills: int, seconds_between: float, seed: int) -> Outcome:
    """Kill a random process again and again under a hundred calls a second, and check every account each time."""
    worker = on.worker("100000")
    on.fake.reset()
    outcome = asyncio.run(_load_with_kills(on, worker, kills, seconds_between, random.Random(seed)))
    _all_swept()
    assert worker.held_pico == 0
    assert worker.spent_pico >= on.fake.billed_pico() > 0
    ends = Counter(row.call_id for row in worker.calls() if row.seq == 0)
    assert set(ends.values()) == {1}, "each call ends once"
    # A killed process breaks connections; nobody else hears of it.
    assert set(outcome.statuses) <= {0, 200}, outcome
    audit_is_green()
    return outcome


async def _load_with_kills(
    on: Stage, worker: Worker, kills: int, seconds_between: float, chance: random.Random
) -> Outcome:
    """Offer calls at a steady rate while processes die and come back."""
    outcome, running = Outcome(), set[asyncio.Task[int]]()
    loop = asyncio.get_running_loop()
    killing = asyncio.create_task(_kill(on, worker, kills, seconds_between, chance))
    async with client_session(resets=True) as session:
        next_at = loop.time()
        while not killing.done():
            # A slow machine is offered less, instead of a queue that grows until nothing starts any more.
            if len(running) < RUNNING_MAX:
                task = asyncio.create_task(call(session, on.server.address, worker.key, _body(chance), outcome))
                running.add(task)
                task.add_done_callback(running.discard)
            next_at += 1 / CALLS_PER_SECOND
            await asyncio.sleep(max(0, next_at - loop.time()))
        await asyncio.gather(*running)
    await killing
    return outcome


async def _kill(on: Stage, worker: Worker, kills: int, seconds_between: float, chance: random.Random) -> None:
    for number in range(kills):
        await asyncio.sleep(seconds_between * chance.uniform(0.5, 1.5))
        index = chance.choice(await _serving(on))
        await asyncio.to_thread(on.server.kill, index)
        await asyncio.to_thread(_compare, on, worker, number)
        on.server.start_again(index)
    await asyncio.to_thread(wait_until_ready, on.server)


async def _serving(on: Stage) -> list[int]:
    """The processes that serve, as soon as there are enough: others come back meanwhile."""
    deadline = time.monotonic() + SWEPT_SECONDS_MAX
    while True:
        serving = [index for index in range(len(on.server.processes)) if on.server.has_started(index)]
        if len(serving) >= SERVING_MIN:
            return serving
        assert time.monotonic() < deadline, on.server.log.read_text()[-4000:]
        await asyncio.sleep(0.05)


def _compare(on: Stage, worker: Worker, number: int) -> None:
    """What is spent and held together covers what was billed: the bill is read first, as it only grows."""
    try:
        billed_pico = int(Decimal(on.fake.stats()["cost_usd"]) * PICO_PER_USD)
        covered_pico = worker.spent_pico + worker.held_pico
    finally:
        connection.close()
    assert covered_pico >= billed_pico, f"kill {number}: {covered_pico} spent and held, {billed_pico} billed"


def _body(chance: random.Random) -> bytes:
    words = f"tokens_out={chance.randrange(1, 16)} delay_ms={chance.randrange(60)} chunk_ms={chance.randrange(20)}"
    return chat_body(words, stream=chance.random() < 0.5)


def _all_swept() -> None:
    """Wait until the living processes have expired what the dead ones held."""
    deadline = time.monotonic() + SWEPT_SECONDS_MAX
    while Reservation.objects.exists():
        assert time.monotonic() < deadline, f"{Reservation.objects.count()} holds were never swept"
        time.sleep(0.5)
