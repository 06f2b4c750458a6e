"""F4: kill -9 of a random process under load, fifty times: the ledger never falls behind the bill."""

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path

import aiohttp

from agents.audit import audit
from agents.models import Reservation
from tests.proxy.load import Outcome, call, chat_body
from tests.proxy.stage import Stage, Worker, stage
from tests.servers import wait_until_ready

KILLS = int(os.environ.get("SHREDDER_FAULT_KILLS", "50"))
CALLS_PER_SECOND = 100
RUNNING_MAX = 50
SECONDS_BETWEEN = 1.0
TOTAL_SECONDS = 4
# A hold lives for the total time-out and two minutes: what dead processes left is swept once that has passed.
SWEPT_SECONDS_MAX = 240


def test_fifty_kills_under_load_lose_nothing(committed_database: str, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    environment = {"SHREDDER_PROXY_SECONDS": f"total={TOTAL_SECONDS},stop=5"}
    with stage(tmp_path, workers=2, environment=environment) as on:
        worker = on.worker("100000")
        outcome = asyncio.run(_load_with_kills(on, worker, random.Random(seed)))
        _sweep()
        print(outcome, f"billed {on.fake.stats()['billed']}")
        assert worker.held_pico == 0
        assert worker.spent_pico >= on.fake.billed_pico() > 0
        ends = Counter(row.call_id for row in worker.calls() if row.seq == 0)
        assert set(ends.values()) == {1}, "each call ends once"
        assert outcome.statuses[500] == 0
        report = audit()
        assert report.ok, "\n".join(report.lines())


async def _load_with_kills(on: Stage, worker: Worker, chance: random.Random) -> Outcome:
    """Offer calls at a steady rate while processes die and come back."""
    outcome, running = Outcome(), set[asyncio.Task[None]]()
    loop = asyncio.get_running_loop()
    killing = asyncio.create_task(_kill(on, worker, chance))
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
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


async def _kill(on: Stage, worker: Worker, chance: random.Random) -> None:
    for number in range(KILLS):
        await asyncio.sleep(SECONDS_BETWEEN * chance.uniform(0.5, 1.5))
        index = chance.randrange(2)
        await asyncio.to_thread(on.server.kill, index)
        await asyncio.to_thread(_compare, on, worker, number)
        on.server.start_again(index)
        await asyncio.to_thread(wait_until_ready, on.server)


def _compare(on: Stage, worker: Worker, number: int) -> None:
    """What is spent and held together covers what was billed: the bill is read first, as it only grows."""
    from django.db import connection

    try:
        billed_pico = on.fake.billed_pico()
        covered_pico = worker.spent_pico + worker.held_pico
    finally:
        connection.close()
    assert covered_pico >= billed_pico, f"kill {number}: {covered_pico} spent and held, {billed_pico} billed"


def _body(chance: random.Random) -> bytes:
    words = f"tokens_out={chance.randrange(1, 16)} delay_ms={chance.randrange(60)} chunk_ms={chance.randrange(20)}"
    return chat_body(words, stream=chance.random() < 0.5)


def _sweep() -> None:
    """Wait until the living process has expired what the dead ones held."""
    deadline = time.monotonic() + SWEPT_SECONDS_MAX
    while Reservation.objects.exists():
        assert time.monotonic() < deadline, f"{Reservation.objects.count()} holds were never swept"
        time.sleep(0.5)
