"""The store in Valkey under bursts, after restarts, and when nobody answers."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import pytest

from proxy.guards import batches
from proxy.guards.clock import Clock
from proxy.guards.stores import StoreAway
from proxy.guards.terms import Verdict
from proxy.guards.valkey import PING_SECONDS, ValkeyStore
from tests.proxy.guards.conftest import PATIENT_SECONDS
from tests.proxy.guards.counting import an_ask
from tests.valkey import PrivateValkey, private_valkey

IMPATIENT_SECONDS = 0.2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateValkey]:
    with private_valkey(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def told() -> list[datetime | None]:
    return []


@pytest.fixture
async def store(server: PrivateValkey, told: list[datetime | None]) -> AsyncIterator[ValkeyStore]:
    ready = ValkeyStore(server.url, Clock(), seconds=PATIENT_SECONDS, tell=told.append)
    yield ready
    await ready.close()


async def test_a_burst_travels_over_one_connection_and_each_call_gets_its_own_answer(
    server: PrivateValkey, store: ValkeyStore
) -> None:
    asks = [an_ask(calls_limit=2, cool_down_ms=number) for number in range(100)]
    answers = await asyncio.gather(*(store.take(ask) for ask in asks * 3))
    assert [answer.verdict for answer in answers] == [Verdict.TAKEN] * 200 + [Verdict.CALLS] * 100
    assert server.ask("CLIENT", "LIST").count(b"lib-name=redis-py") == 1


async def test_a_restart_of_valkey_costs_the_counters_and_no_answer(
    server: PrivateValkey, store: ValkeyStore, told: list[datetime | None]
) -> None:
    ask = an_ask(calls_limit=5)
    await store.take(ask)
    server.ask("SCRIPT", "FLUSH")
    server.ask("FLUSHALL")
    answers = await asyncio.gather(*(store.take(ask) for _ in range(9)))
    assert Counter(answer.verdict for answer in answers) == {Verdict.TAKEN: 5, Verdict.CALLS: 4}
    assert told == []


async def test_when_nobody_answers_all_that_wait_are_told_after_one_time_out_and_later_ones_at_once(
    server: PrivateValkey, told: list[datetime | None]
) -> None:
    store, ask = (
        ValkeyStore(server.url, Clock(), seconds=IMPATIENT_SECONDS, tell=told.append),
        an_ask(calls_limit=9_000),
    )
    await store.take(ask)
    server.freeze()
    try:
        began = time.monotonic()
        outcomes = await asyncio.gather(*(store.take(ask) for _ in range(500)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {StoreAway}
        assert time.monotonic() - began < 5 * IMPATIENT_SECONDS, "batch after batch waited"
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(StoreAway):
                await store.take(ask)
        assert time.monotonic() - began < IMPATIENT_SECONDS
    finally:
        server.thaw()
    assert told == [store.away_since]
    watch = asyncio.create_task(store.watch())
    async with asyncio.timeout(10 * PING_SECONDS):
        while store.away_since is not None:
            await asyncio.sleep(0.01)
    watch.cancel()
    assert told[1:] == [None]
    assert (await store.take(ask)).verdict is Verdict.TAKEN
    await store.close()


async def test_a_caller_that_is_cancelled_does_not_disturb_the_others(store: ValkeyStore) -> None:
    ask = an_ask(calls_limit=100)
    tasks = [asyncio.create_task(store.take(ask)) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(outcomes.pop(3), asyncio.CancelledError)
    assert {outcome.verdict for outcome in outcomes} == {Verdict.TAKEN}  # type: ignore[union-attr]


async def test_more_than_may_wait_count_for_themselves(store: ValkeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "WAITING_MAX", 3)
    ask: Any = an_ask(calls_limit=100)
    outcomes = await asyncio.gather(*(store.take(ask) for _ in range(5)), return_exceptions=True)
    assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Answer": 3, "StoreAway": 2}
