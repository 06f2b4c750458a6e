"""Two workers pause, are replaced, stop and die while calls run: nothing stays held, nothing is billed unseen."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from django.conf import settings
from redis import Redis

from agents.audit import audit
from agents.ledger import Ledger
from agents.models import Call, Reservation
from tests.agents.ledger_house import in_thread
from tests.proxy.load import chat_body, run_load
from tests.proxy.stage import Stage, Worker, all_settled, stage
from tests.proxy.streams import PATIENCE_SECONDS, connections_stay_bounded, sql, streams
from tests.servers import wait_until_ready

JSON = {"content-type": "application/json"}
STOP_SECONDS = 3
CALLS_MAX = 30  # more than a hundredth of a cent pays for


@pytest.fixture(scope="module")
def whole_stage(committed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    environment = {"SHREDDER_PROXY_SECONDS": f"stop={STOP_SECONDS}"}
    with stage(tmp_path_factory.mktemp("stage"), workers=2, environment=environment) as ready:
        yield ready


@pytest.fixture
def on(whole_stage: Stage) -> Stage:
    """Both workers, in whatever state the test before left them."""
    whole_stage.fake.reset()
    for index, process in enumerate(whole_stage.server.processes):
        if process.poll() is not None:
            whole_stage.server.start_again(index)
    wait_until_ready(whole_stage.server)
    return whole_stage


def short_call(on: Stage, worker: Worker, seconds_max: float = 30) -> httpx.Response:
    headers = {"authorization": f"Bearer {worker.key}"} | JSON
    url = f"{on.server.openai_base_url}/chat/completions"
    return httpx.post(url, content=chat_body("tokens_out=1"), headers=headers, timeout=seconds_max)


def holder_of_most(on: Stage) -> int:
    """The worker that holds most reservations."""
    names = sql("SELECT l.process FROM reservation r JOIN owner_lease l USING (owner)")
    pids = Counter(int(name.split(":")[-2]) for (name,) in names)
    return max(range(2), key=lambda index: pids[on.server.processes[index].pid])


def let_time_pass_for(pid: int) -> int:
    """Deadlines and lease of a worker's calls pass; returns how many it holds."""
    owners = "SELECT owner FROM owner_lease WHERE process LIKE %s"
    name = f"%:{pid}:%"
    sql(f"UPDATE owner_lease SET expires_at = now() - interval '1 s' WHERE owner IN ({owners})", name)
    held = sql(
        f"UPDATE reservation SET deadline_at = now() - interval '1 s' WHERE owner IN ({owners}) RETURNING call_id", name
    )
    return len(held)


async def sweep(expected_count: int) -> None:
    """Expire what may be expired, as any other process does."""
    ledger = Ledger()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await in_thread(Call.objects.filter(status="expired").count) < expected_count:
            await ledger.upkeep.reap(is_cautious=False)
    await ledger.stop()


async def test_a_worker_that_slept_past_its_deadline_is_expired_and_corrects_when_it_wakes(on: Stage) -> None:
    """Row 18 of docs/reliability.md."""
    worker = await in_thread(on.worker)
    before = await in_thread(Call.objects.filter(status="expired").count)
    async with streams(on, worker, 6, "chunks=12 chunk_ms=50 tokens_out=9") as running:
        process = on.server.processes[await in_thread(holder_of_most, on)]
        process.send_signal(signal.SIGSTOP)
        try:
            asleep_count = await in_thread(let_time_pass_for, process.pid)
            await sweep(before + asleep_count)
        finally:
            process.send_signal(signal.SIGCONT)
        texts = await running.texts()
    assert all(text.endswith("data: [DONE]\n\n") for text in texts)
    await in_thread(all_settled)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await in_thread(lambda: Call.objects.filter(reason="late_settle").count()) < asleep_count:
            await asyncio.sleep(0.02)
    assert asleep_count > 0
    rows = await in_thread(worker.calls)
    assert Counter(row.status for row in rows if row.seq == 0) == Counter(
        expired=asleep_count, settled=6 - asleep_count
    )
    assert await in_thread(lambda: worker.spent_pico) == on.fake.billed_pico() > 0
    assert await in_thread(lambda: worker.held_pico) == 0
    report = await in_thread(audit)
    assert report.ok, "\n".join(report.lines())


async def test_a_rolling_restart_ends_every_stream_and_settles_it(on: Stage) -> None:
    """Row 21 of docs/reliability.md."""
    worker = await in_thread(on.worker)
    leaving = list(on.server.processes)
    async with streams(on, worker, 24, "chunks=12 chunk_ms=100 tokens_out=9") as running:
        for index, process in enumerate(leaving):
            process.send_signal(signal.SIGTERM)
            await in_thread(on.server.start_again, index)
            if index == 0:
                assert (await in_thread(short_call, on, worker)).status_code == 200
        texts = await running.texts()
    assert all(text.endswith("data: [DONE]\n\n") for text in texts)
    assert [await in_thread(process.wait, PATIENCE_SECONDS) for process in leaving] == [0, 0]
    await in_thread(all_settled)
    rows = await in_thread(worker.calls)
    assert {(row.status, row.basis) for row in rows} == {("settled", "usage")}
    assert len(rows) == 25
    assert await in_thread(lambda: worker.spent_pico) == on.fake.billed_pico() > 0


async def test_a_stop_refuses_new_calls_cuts_streams_at_its_limit_and_settles_all(on: Stage) -> None:
    """I10."""
    worker = await in_thread(on.worker)
    async with streams(on, worker, 12, "chunks=200 chunk_ms=100 tokens_out=9") as running:
        began = time.monotonic()
        for process in on.server.processes:
            process.send_signal(signal.SIGTERM)
        await asyncio.sleep(STOP_SECONDS / 2)
        with pytest.raises(httpx.TransportError):
            await in_thread(short_call, on, worker, 0.5)
        codes = [await in_thread(process.wait, PATIENCE_SECONDS) for process in on.server.processes]
        assert STOP_SECONDS <= time.monotonic() - began < 4 * STOP_SECONDS
        texts = await running.texts()
    assert codes == [0, 0]
    assert not any("[DONE]" in text for text in texts)
    assert not await in_thread(Reservation.objects.exists), "nothing is left to expire"
    rows = await in_thread(worker.calls)
    assert Counter((row.status, row.basis) for row in rows) == {("settled", "worst_case"): 12}
    assert await in_thread(lambda: worker.spent_pico) >= on.fake.billed_pico() > 0
    assert on.fake.stats()["requests"] == 12


async def test_a_crowd_of_streams_needs_no_more_connections_than_the_pools_have(on: Stage) -> None:
    """I8, row 24 of docs/reliability.md: no connection belongs to a stream, and none is in a transaction."""
    await connections_stay_bounded(on, 200, seconds=1.5)


async def test_kills_at_random_moments_leave_the_ledger_at_the_providers_count(on: Stage) -> None:
    """I9; F4 is the same at full size."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    worker = await in_thread(on.worker, "100")
    bodies = [
        chat_body(f"bill=ceiling chunks=4 chunk_ms={dice.randrange(30)}", stream=dice.random() < 0.5)
        for _ in range(150)
    ]
    load = asyncio.create_task(run_load(on.server.address, worker.key, bodies, at_once=15))
    for _ in range(2):
        await asyncio.sleep(dice.uniform(0.1, 0.5))
        index = dice.randrange(2)
        await in_thread(on.server.kill, index)
        await in_thread(on.server.start_again, index)
    outcome = await load
    await in_thread(wait_until_ready, on.server)
    await in_thread(all_settled)
    rows = await in_thread(worker.calls)
    ends = Counter(row.status for row in rows)
    assert len({row.call_id for row in rows}) == len(rows), "each call ends once"
    assert set(ends) <= {"settled", "expired"}
    assert outcome.statuses[200] <= on.fake.stats()["requests"] <= len(rows)
    never_forwarded = len(rows) - on.fake.stats()["requests"]
    assert never_forwarded <= ends["expired"]
    assert {row.cost_pico for row in rows} <= {row.held_pico for row in rows}
    assert await in_thread(lambda: worker.held_pico) == 0
    assert await in_thread(lambda: worker.spent_pico) == sum(row.cost_pico for row in rows) >= on.fake.billed_pico()
    report = await in_thread(audit)
    assert report.ok, "\n".join(report.lines())


def test_a_wiped_cache_and_an_empty_memory_change_no_verdict(on: Stage) -> None:
    """I2: the ledger decides."""
    worker = on.worker("0.0001")
    for _ in range(CALLS_MAX):
        answer = short_call(on, worker)
        all_settled()  # the next may come to the other process
        if answer.status_code != httpx.codes.OK:
            break
    asked_count = on.fake.stats()["requests"]
    on.server.kill(0)
    with Redis.from_url(settings.REDIS_URL) as store:
        store.flushdb()
    on.server.start_again(0)
    on.server.kill(1)
    again = short_call(on, worker)
    assert (again.status_code, answer.status_code) == (429, 429)
    facts, before = (one.json()["error"]["awx"] for one in (again, answer))
    assert facts["spent"] == before["spent"]
    assert on.fake.stats()["requests"] == asked_count
