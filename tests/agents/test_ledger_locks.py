"""Several sessions on the same rows: no deadlock, no lost update, no decision from before an edit."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from accounts.ids import uuid7
from agents import budgets
from agents.ledger import BudgetRefused, CallEnd, Ledger, Stale
from agents.ledger.connection import conninfo_of_django
from tests.agents.ledger_house import USD, House, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_reserve_that_waited_for_an_edit_decides_by_the_new_limit(house: House, ledger: Ledger) -> None:
    await ledger.reserve(house.ask(1))
    with house.transaction() as editor:
        editor.execute("SELECT ledger_stand_still(%s, %s)", [house.organization.pk, [house.budget.pk]])
        editor.execute('UPDATE budget SET "limit" = %s WHERE id = %s', [USD, house.budget.pk])
        waiting = asyncio.create_task(ledger.reserve(house.ask(2 * USD)))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        editor.commit()
    with pytest.raises(BudgetRefused) as refusal:
        await waiting
    assert refusal.value.facts.limit == USD


async def test_a_reserve_that_waited_for_a_pause_is_stale(house: House, ledger: Ledger) -> None:
    await ledger.reserve(house.ask(1))
    with house.transaction() as editor:
        editor.execute("SELECT ledger_stand_still(%s, '{}')", [house.organization.pk])
        editor.execute("UPDATE agent SET paused_at = now() WHERE id = %s", [house.agent.pk])
        waiting = asyncio.create_task(ledger.reserve(house.ask(1)))
        await asyncio.sleep(0.3)
        editor.commit()
    with pytest.raises(Stale):
        await waiting


async def test_an_edit_waits_for_the_flush_before_it(house: House, ledger: Ledger) -> None:
    await ledger.reserve(house.ask(1))
    with house.transaction() as flush:
        flush.execute("SELECT 1 FROM balance WHERE budget_id = %s FOR UPDATE", [house.meter.pk])
        edit = asyncio.create_task(in_thread(budgets.set_limit, house.budget, USD, None))
        await asyncio.sleep(0.3)
        assert not edit.done()
        flush.commit()
    await edit


async def test_an_edit_does_not_wait_in_a_ring_with_one_that_began_at_the_organisation(house: House) -> None:
    """As `accounts.credentials` does when a provider's own rates end with it."""
    with house.transaction() as disconnect:
        disconnect.execute("SELECT 1 FROM organization WHERE id = %s FOR NO KEY UPDATE", [house.organization.pk])
        edit = asyncio.create_task(in_thread(budgets.touch_organization, house.organization.pk))
        await asyncio.sleep(0.3)
        assert not edit.done()
        disconnect.execute("SELECT ledger_stand_still(%s, '{}')", [house.organization.pk])
        disconnect.commit()
    await edit


async def test_processes_that_flush_the_same_rows_lose_nothing(house: House) -> None:
    """Four processes, eight balances, every call settled twice: no deadlock, no lost update, never over."""
    for unit, window in [("usd", "week"), ("usd", "month"), ("tokens", "day"), ("tokens", "total"), ("calls", "day")]:
        await in_thread(house.new_budget, unit=unit, window=window, limit=10**15)
    await in_thread(house.new_budget, unit="usd", window="total", limit=USD)
    facts = {
        "dsn": conninfo_of_django(),
        "organization": str(house.organization.pk),
        "agent": str(house.agent.pk),
        "budgets": [budget for budget, _ in house.budgets],
    }
    command = [sys.executable, "-m", "tests.agents.ledger_crowd", json.dumps(facts)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    outputs = [await asyncio.to_thread(child.communicate) for child in children]
    answers = [json.loads(out) for out, _ in outputs]
    assert not any("repeats a flush" in err.decode() for _, err in outputs)
    settled = sum(answer["settled"] for answer in answers)
    spent = sum(answer["spent"] for answer in answers)
    assert sum(answer["refused"] for answer in answers) > 0
    assert spent <= USD
    rows = house.sql(
        "SELECT g.unit, l.spent, l.held FROM balance l JOIN budget g ON g.id = l.budget_id WHERE NOT practice"
    )
    expected = {"usd": spent, "tokens": 7 * settled, "calls": settled}
    assert len(rows) == 8
    assert all((row[1], row[2]) == (expected[row[0]], 0) for row in rows)
    assert house.sql("SELECT sum(cost_pico), count(*) FROM call WHERE status = 'settled'") == [(spent, settled)]


async def test_a_balance_that_joined_after_the_look_up_makes_the_flush_start_again(
    house: House, ledger: Ledger
) -> None:
    ask = house.ask(USD)
    await ledger.reserve(ask)
    other = await in_thread(house.new_budget, window="month", limit=9 * USD)
    with house.transaction() as seeding:
        seeding.execute("SELECT 1 FROM balance WHERE budget_id = %s FOR UPDATE", [house.meter.pk])
        seeding.execute("SELECT ledger_open_balances(ARRAY[%s::bigint], '{\"\"}', '{f}')", [other.pk])
        ending = ledger.settle(ask.call_id, CallEnd(cost_pico=4))
        await asyncio.sleep(0.3)
        seeding.commit()
    assert await ending == "settled"
    assert house.amounts(other) == (4, 0)


async def test_two_ledgers_share_one_limit(house: House, ledger: Ledger) -> None:
    other = Ledger()
    await other.start()
    asks = [house.ask(USD) for _ in range(12)]
    answers = await asyncio.gather(
        *(which.reserve(ask) for which, ask in zip([ledger, other] * 6, asks, strict=True)), return_exceptions=True
    )
    assert sum(not isinstance(answer, BudgetRefused) for answer in answers) == 5
    assert house.amounts() == (0, 5 * USD)
    await other.stop()


async def test_a_refusal_is_repeated_from_memory_only_while_nothing_is_held(house: House, ledger: Ledger) -> None:
    first = house.ask(4 * USD)
    await ledger.reserve(first)
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(2 * USD))
    balance = ledger.batcher.known.group_of(first)
    assert balance is not None
    assert all(one.full_until == 0 for one in balance.balances)
    await ledger.settle(first.call_id, CallEnd(cost_pico=4 * USD))
    big = house.ask(2 * USD)
    with pytest.raises(BudgetRefused):
        await ledger.reserve(big)
    house.sql('UPDATE budget SET "limit" = %s', 50 * USD)
    with pytest.raises(BudgetRefused):
        await ledger.reserve(replace(big, call_id=uuid7()))  # Loosening may take 250 ms …
    await ledger.reserve(house.ask(USD))  # … but what always fitted still fits,
    await asyncio.sleep(0.3)
    await ledger.reserve(replace(big, call_id=uuid7()))  # and then the new limit is seen.
