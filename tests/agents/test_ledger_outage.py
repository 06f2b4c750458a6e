"""Lost answers and an absent PostgreSQL: nothing is counted twice, nothing settled is lost, nothing stays held."""

import asyncio
import random
from itertools import count

import pytest

from agents.ledger import CallEnd, Ledger, LedgerAway, LedgerError
from agents.ledger import batcher as batcher_module
from tests.agents.ledger_house import USD, House
from tests.faults.tcp_proxy import TcpProxy

pytestmark = pytest.mark.django_db(transaction=True)


def lose(*numbers: int) -> object:
    """Lose the answers with these numbers."""
    counter = count(1)
    return lambda: next(counter) in numbers


async def test_a_reserve_whose_answer_is_lost_holds_once(house: House, distant: Ledger, proxy: TcpProxy) -> None:
    await distant.reserve(house.ask(1))
    proxy.lose_answer = lose(1)
    await distant.reserve(house.ask(3 * USD))
    assert proxy.lost_count == 1
    assert house.amounts() == (0, 3 * USD + 1)


async def test_a_settle_whose_answer_is_lost_counts_once(house: House, distant: Ledger, proxy: TcpProxy) -> None:
    ask = house.ask(USD)
    await distant.reserve(ask)
    proxy.lose_answer = lose(1)
    assert await distant.settle(ask.call_id, CallEnd(cost_pico=7)) == "same"
    assert (house.amounts(), proxy.lost_count) == ((7, 0), 1)
    assert len(house.book(ask.call_id)) == 1


async def test_an_ask_that_nobody_waits_for_after_a_lost_answer_is_ended(
    house: House, distant: Ledger, proxy: TcpProxy
) -> None:
    await distant.reserve(house.ask(1))
    ask = house.ask(USD)
    task = asyncio.create_task(distant.reserve(ask))

    def lose_and_leave() -> bool:
        proxy.lose_answer = lambda: False
        task.cancel()
        return True

    proxy.lose_answer = lose_and_leave
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(200):
        if house.book(ask.call_id):
            break
        await asyncio.sleep(0.02)
    assert [row["status"] for row in house.book(ask.call_id)] == ["voided"]
    assert house.amounts() == (0, 1)


async def test_a_buried_ask_that_lands_late_holds_nothing(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    [(was_free,)] = house.sql(
        "SELECT ledger_bury(%s, %s, %s, %s, false, %s, %s)",
        ask.call_id, ask.organization_id, ask.agent_id, ledger.owner, ask.usd_pico, {"model": "gpt-4o"},
    )  # fmt: skip
    assert was_free
    with pytest.raises(LedgerError):
        await ledger.reserve(ask)
    assert house.amounts() == (0, 0)
    assert house.sql("SELECT count(*) FROM reservation") == [(0,)]
    assert [row["reason"] for row in house.book(ask.call_id)] == ["lost_answer"]


async def test_a_burial_waits_for_the_flush_in_flight(house: House, ledger: Ledger) -> None:
    await ledger.reserve(house.ask(1))  # Opens the balances.
    ask = house.ask(USD)
    with house.transaction() as holder:
        # The flush waits for this lock with its reservation not yet inserted …
        holder.execute("SELECT 1 FROM balance FOR UPDATE")
        task = asyncio.create_task(ledger.reserve(ask))
        await asyncio.sleep(0.2)
        [(was_free,)] = house.sql(
            "SELECT ledger_bury(%s, %s, %s, %s, false, 1, '{}')",
            ask.call_id, ask.organization_id, ask.agent_id, ledger.owner,
        )  # fmt: skip
        assert was_free
        holder.commit()  # … and lands after the burial.
    with pytest.raises(LedgerError):
        await task
    assert house.amounts() == (0, 1)


async def test_while_postgresql_is_away_asks_fail_and_settles_wait(
    house: House, distant: Ledger, proxy: TcpProxy
) -> None:
    ask = house.ask(USD)
    await distant.reserve(ask)
    proxy.is_away = True
    ending = distant.settle(ask.call_id, CallEnd(cost_pico=5))
    asks = [house.ask(1) for _ in range(3)]
    answers = await asyncio.gather(*map(distant.reserve, asks), return_exceptions=True)
    assert all(isinstance(answer, LedgerAway) for answer in answers)
    assert not distant.ready
    assert not ending.done()
    proxy.is_away = False
    assert await asyncio.wait_for(ending, 10) == "settled"
    assert house.amounts() == (5, 0)
    async with asyncio.timeout(10):
        while not distant.ready:
            await asyncio.sleep(0.01)
    await distant.reserve(house.ask(1))


async def test_an_ask_waits_a_bounded_time(house: House, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batcher_module, "RESERVE_SECONDS", 0.3)
    await ledger.reserve(house.ask(1))
    ask = house.ask(USD)
    with house.transaction() as holder:
        holder.execute("SELECT 1 FROM balance FOR UPDATE")
        with pytest.raises(LedgerAway):
            await asyncio.wait_for(ledger.reserve(ask), 2)
    async with asyncio.timeout(10):
        while not house.book(ask.call_id):
            await asyncio.sleep(0.02)
    assert [row["status"] for row in house.book(ask.call_id)] == ["voided"]  # It landed after all.
    assert house.amounts() == (0, 1)


async def test_a_ledger_starts_while_postgresql_is_away(house: House, proxy: TcpProxy) -> None:
    dsn = await proxy.start()
    proxy.is_away = True
    ledger = Ledger(dsn)
    await ledger.start()
    await asyncio.sleep(0.3)
    assert not ledger.ready
    proxy.is_away = False
    for _ in range(500):
        if ledger.ready:
            break
        await asyncio.sleep(0.02)
    await ledger.reserve(house.ask(1))
    await ledger.stop()


async def test_with_a_third_of_all_answers_lost_the_sums_are_exact(
    house: House, distant: Ledger, proxy: TcpProxy
) -> None:
    dice = random.Random(4)
    proxy.lose_answer = lambda: dice.random() < 0.35
    expected: list[int] = []

    async def one(number: int) -> None:
        await asyncio.sleep(dice.random())
        ask = house.ask(USD // 1000)
        try:
            await distant.reserve(ask)
        except LedgerError:
            return
        await asyncio.sleep(dice.random() / 20)
        if number % 4:
            expected.append(number)
            await distant.settle(ask.call_id, CallEnd(cost_pico=number))
        else:
            await distant.void(ask.call_id, CallEnd())

    await asyncio.wait_for(asyncio.gather(*map(one, range(150))), 60)
    proxy.lose_answer = lambda: False
    await distant.drain()
    assert proxy.lost_count > 1
    for _ in range(100):
        if house.amounts() == (sum(expected), 0):
            break
        await asyncio.sleep(0.05)
    assert house.amounts() == (sum(expected), 0)
    assert house.sql("SELECT coalesce(sum(cost_pico), 0) FROM call") == [(sum(expected),)]
