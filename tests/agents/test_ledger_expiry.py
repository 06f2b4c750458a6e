"""What nobody settles is charged at its ceiling, visibly, and put right when the truth arrives late."""

import asyncio
import itertools
import os
import subprocess
import sys
from uuid import uuid4

import pytest

from agents.ledger import CallEnd, Ledger, leases
from tests.agents.ledger_house import USD, House, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def reserve(house: House, ledger: Ledger, usd_pico: int = 2 * USD) -> object:
    ask = house.ask(usd_pico)
    await ledger.reserve(ask)
    return ask.call_id


def let_deadlines_pass(house: House, seconds: int = 1) -> None:
    house.sql("UPDATE reservation SET deadline_at = clock_timestamp() - make_interval(secs => %s)", seconds)


def let_leases_end(house: House, when: str = "now() - interval '1 second'") -> None:
    house.sql(f"UPDATE owner_lease SET expires_at = {when}")


async def expire(house: House, ledger: Ledger) -> None:
    """Let the one hold expire. The ledger renews its lease and sweeps by itself too, between any two of these steps."""
    async with asyncio.timeout(10):
        while house.sql("SELECT 1 FROM reservation"):
            let_deadlines_pass(house)
            let_leases_end(house)
            await ledger.upkeep.reap(is_cautious=False)


async def test_a_hold_of_a_gone_process_expires_at_its_ceiling(house: House, ledger: Ledger) -> None:
    call_id = await reserve(house, ledger)
    await expire(house, ledger)
    assert house.amounts() == (2 * USD, 0)
    [row] = house.book(call_id)
    assert (row["status"], row["basis"], row["cost_pico"], row["reason"]) == (
        "expired",
        "worst_case",
        2 * USD,
        "expired",
    )
    assert (row["model"], row["provider"], row["tags"], row["counted"]) == ("gpt-4o", "openai", {"team": "a"}, 1)


async def test_a_hold_within_its_deadline_stays(house: House, ledger: Ledger) -> None:
    await reserve(house, ledger)
    let_leases_end(house)
    assert await ledger.upkeep.reap(is_cautious=False) == []
    assert house.amounts() == (0, 2 * USD)


async def test_a_hold_of_a_living_process_stays_past_its_deadline(house: House, ledger: Ledger) -> None:
    await reserve(house, ledger)
    await ledger.upkeep._renew_lease()
    let_deadlines_pass(house)
    assert await ledger.upkeep.reap(is_cautious=False) == []


async def test_even_a_living_process_cannot_hold_for_ever(house: House, ledger: Ledger) -> None:
    await reserve(house, ledger)
    await ledger.upkeep._renew_lease()
    let_deadlines_pass(house, seconds=601)
    assert len(await ledger.upkeep.reap(is_cautious=False)) == 1


async def test_holds_of_a_process_known_dead_expire_at_once(house: House, ledger: Ledger) -> None:
    call_id = await reserve(house, ledger)
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    house.sql(
        "INSERT INTO owner_lease (owner, renewed_at, expires_at, process) VALUES (%s, now(), now() + '1 h', %s)",
        dead := uuid4(),
        f"{leases.machine()}:{done.pid}:12345",
    )
    house.sql("UPDATE reservation SET owner = %s", dead)
    assert await ledger.upkeep.reap(is_cautious=True) == [call_id]


async def test_a_living_neighbour_is_not_taken_for_dead(house: House, ledger: Ledger) -> None:
    await reserve(house, ledger)
    assert not leases.is_dead(leases.process())
    assert not leases.is_dead(f"elsewhere:boot:1:{os.getpid()}:1")
    other = uuid4()
    house.sql(
        "INSERT INTO owner_lease (owner, renewed_at, expires_at, process) VALUES (%s, now(), now() + '1 h', %s)",
        other,
        leases.process(),
    )
    house.sql("UPDATE reservation SET owner = %s", other)
    assert await ledger.upkeep.reap(is_cautious=False) == []


async def test_a_sweep_just_after_an_outage_stops_when_it_would_take_an_implausible_share(
    house: House, ledger: Ledger
) -> None:
    await asyncio.gather(*(ledger.reserve(house.ask(1)) for _ in range(20)))
    let_deadlines_pass(house)
    let_leases_end(house)
    assert await ledger.upkeep.reap(is_cautious=True) == []
    assert ledger.upkeep.suspicious_count == 20
    assert house.amounts() == (0, 20)
    assert len(await ledger.upkeep.reap(is_cautious=False)) == 20


async def test_a_late_settle_corrects_the_charge(house: House, ledger: Ledger) -> None:
    call_id = await reserve(house, ledger)
    await expire(house, ledger)
    assert await ledger.settle(call_id, CallEnd(cost_pico=USD, tokens=9, input_tokens=9)) == "corrected"
    assert house.amounts() == (USD, 0)
    rows = house.book(call_id)
    assert [(row["seq"], row["cost_pico"], row["counted"]) for row in rows] == [(0, 2 * USD, 1), (1, -USD, 0)]
    assert rows[1]["input_tokens"] == 9
    state = await ledger.call_state(call_id, house.agent.pk)
    assert state is not None
    assert (state.cost_pico, state.basis, state.input_tokens) == (USD, "usage", 9)


async def test_a_late_void_gives_everything_back(house: House, ledger: Ledger) -> None:
    calls = await in_thread(house.new_budget, unit="calls", limit=9)
    call_id = await reserve(house, ledger)
    await expire(house, ledger)
    assert house.amounts(calls) == (1, 0)
    assert await ledger.void(call_id, CallEnd()) == "corrected"
    assert (house.amounts(), house.amounts(calls)) == ((0, 0), (0, 0))


async def test_a_late_settle_counts_once(house: House, ledger: Ledger) -> None:
    call_id = await reserve(house, ledger)
    await expire(house, ledger)
    assert await ledger.settle(call_id, CallEnd(cost_pico=5)) == "corrected"
    assert await ledger.settle(call_id, CallEnd(cost_pico=5)) == "same"
    assert await ledger.settle(call_id, CallEnd(cost_pico=6)) == "conflict"
    assert house.amounts() == (5, 0)


@pytest.mark.parametrize("order", list(itertools.permutations(("settle", "expire", "again"))))
async def test_reaper_and_settle_end_at_the_actual_cost_in_any_order(
    house: House, ledger: Ledger, order: tuple[str, ...]
) -> None:
    call_id = await reserve(house, ledger)
    let_deadlines_pass(house)
    let_leases_end(house)
    for step in order:
        if step == "expire":
            await ledger.upkeep.reap(is_cautious=False)
        else:
            outcome = await ledger.settle(call_id, CallEnd(cost_pico=7, tokens=1))
            assert outcome in ("settled", "corrected", "same")
    assert house.amounts() == (7, 0)
    assert sum(row["cost_pico"] for row in house.book(call_id)) == 7


async def test_reaper_and_settle_at_the_same_moment_charge_once(house: House, ledger: Ledger) -> None:
    ids = [await reserve(house, ledger, USD // 100) for _ in range(40)]
    let_deadlines_pass(house)
    let_leases_end(house)
    await asyncio.gather(
        ledger.upkeep.reap(is_cautious=False), *(ledger.settle(call_id, CallEnd(cost_pico=3)) for call_id in ids)
    )
    assert house.amounts() == (120, 0)


async def test_a_stopped_ledger_gives_its_lease_back(house: House) -> None:
    ledger = Ledger()
    await ledger.start()
    await reserve(house, ledger)
    await ledger.stop()
    assert house.sql("SELECT expires_at = '-infinity' FROM owner_lease WHERE owner = %s", ledger.owner) == [(True,)]
