"""What a network does besides cutting: half messages, silence, delay. Each ends in bounded time and counts once."""

import asyncio

import pytest

from agents.ledger import CallEnd, Ledger, LedgerAway
from agents.ledger import batcher as batcher_module
from agents.ledger import connection as connections
from tests.agents.ledger_house import USD, House
from tests.faults.tcp_proxy import TcpProxy

pytestmark = pytest.mark.django_db(transaction=True)

ANSWER_SECONDS = 0.4
BOUND_SECONDS = 4.0


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", ANSWER_SECONDS)


@pytest.mark.parametrize("at", [0, 1, 7, 60])
async def test_an_answer_that_is_cut_at_any_byte_counts_once(
    house: House, distant: Ledger, proxy: TcpProxy, at: int
) -> None:
    """Rows 2 and 10 of docs/reliability.md."""
    ask = house.ask(USD)
    await distant.reserve(house.ask(1))
    proxy.cut_at = at
    await distant.reserve(ask)
    assert house.amounts() == (0, USD + 1)
    proxy.cut_at = at
    assert await distant.settle(ask.call_id, CallEnd(cost_pico=7)) == "same"
    assert (house.amounts(), proxy.lost_count) == ((7, 1), 2)


@pytest.mark.parametrize("what", ["reserve", "settle"])
async def test_a_silent_connection_is_given_up_in_bounded_time(
    house: House, distant: Ledger, proxy: TcpProxy, what: str
) -> None:
    """Row 11 of docs/reliability.md: the other side vanished without a word."""
    ask = house.ask(USD)
    await distant.reserve(ask)
    proxy.is_silent = True
    waiting = distant.reserve(house.ask(5)) if what == "reserve" else distant.settle(ask.call_id, CallEnd(cost_pico=3))
    task = asyncio.ensure_future(waiting)
    await asyncio.sleep(0.1)
    proxy.is_silent = False
    await asyncio.wait_for(task, BOUND_SECONDS)
    assert house.amounts() == ((0, USD + 5) if what == "reserve" else (3, 0))


async def test_a_ledger_stops_in_order_while_postgresql_is_away(house: House, distant: Ledger, proxy: TcpProxy) -> None:
    """Row 21 of docs/reliability.md."""
    await distant.reserve(house.ask(1))
    proxy.is_away = True
    await asyncio.wait_for(distant.stop(grace_seconds=1), BOUND_SECONDS)
    assert house.amounts() == (0, 1)


async def test_a_stop_writes_the_endings_that_wait(house: House) -> None:
    """Row 21 of docs/reliability.md."""
    ledger = Ledger()
    await ledger.start()
    ask = house.ask(USD)
    await ledger.reserve(ask)
    ledger.settle(ask.call_id, CallEnd(cost_pico=7))
    await ledger.stop()
    assert house.amounts() == (7, 0)


async def test_answers_that_come_too_late_hold_nothing(
    house: House, distant: Ledger, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 2 of docs/reliability.md: the caller has been told no, whatever happened."""
    monkeypatch.setattr(batcher_module, "RESERVE_SECONDS", 0.3)
    await distant.reserve(house.ask(1))
    proxy.delay_seconds = 2 * ANSWER_SECONDS
    with pytest.raises(LedgerAway):
        await asyncio.wait_for(distant.reserve(house.ask(USD)), BOUND_SECONDS)
    proxy.delay_seconds = 0
    deadline = asyncio.get_running_loop().time() + BOUND_SECONDS
    while house.amounts() != (0, 1) or not house.sql("SELECT 1 FROM call WHERE status = 'voided'"):
        assert asyncio.get_running_loop().time() < deadline, house.amounts()
        await asyncio.sleep(0.05)
