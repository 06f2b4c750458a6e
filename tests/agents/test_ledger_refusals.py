"""Calls that held nothing reach the book: some rows each, then one that counts; and the batcher's habits."""

import asyncio

import pytest

from accounts.ids import uuid7
from agents.ledger import BudgetRefused, CachedRow, CallEnd, CallStart, Ledger, LedgerOverloaded, RefusalRow, answers
from agents.ledger import batcher as batchers
from agents.ledger.refusals import Refusals
from agents.ledger.statement import Statement
from tests.agents.ledger_house import House, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


def refusal(house: House, reason: str = "budget_exceeded", asked_pico: int = 5) -> RefusalRow:
    return RefusalRow(
        call_id=uuid7(),
        organization_id=house.organization.pk,
        agent_id=house.agent.pk,
        reason=reason,
        http_status=429,
        asked_pico=asked_pico,
        start=CallStart(model="gpt-4o", provider="openai"),
        facts={"limit": "5.00"},
    )


async def test_a_refusal_becomes_a_row_of_the_book(house: House, ledger: Ledger) -> None:
    row = refusal(house)
    ledger.record_refusal(row)
    await ledger.upkeep.write_refusals()
    [booked] = house.book(row.call_id)
    assert (booked["status"], booked["reason"], booked["held_pico"], booked["cost_pico"]) == (
        "refused", "budget_exceeded", 5, 0,
    )  # fmt: skip
    assert (booked["model"], booked["facts"], booked["http_status"]) == ("gpt-4o", {"limit": "5.00"}, 429)
    state = await ledger.call_state(row.call_id, house.agent.pk)
    assert state is not None
    assert state.status == "refused"


async def test_a_flood_of_like_refusals_is_ten_rows_that_count_all(house: House, ledger: Ledger) -> None:
    refusals = Refusals()
    for _ in range(1_000):
        refusals.add(refusal(house), 7.5)
    refusals.add(refusal(house, "rate_limited"), 7.5)
    rows = refusals.take()
    assert len(rows) == 11
    assert sum(row["repeat_count"] for row in rows) == 1_001
    assert sum(row["held_pico"] for row in rows) == 5_005
    assert refusals.take() == []


def cached(house: House, saved_pico: int = 5) -> CachedRow:
    return CachedRow(
        call_id=uuid7(),
        organization_id=house.organization.pk,
        agent_id=house.agent.pk,
        http_status=200,
        saved_pico=saved_pico,
        original_id="c-1",
        duration_ms=3,
        start=CallStart(model="gpt-4o", provider="openai", streamed=True),
    )


async def test_a_cached_answer_becomes_a_row_without_balances(house: House, ledger: Ledger) -> None:
    row = cached(house)
    ledger.record_cached(row)
    ledger.record_refusal(refusal(house))
    await ledger.upkeep.write_refusals()
    [booked] = house.book(row.call_id)
    names = ("status", "reason", "held_pico", "cost_pico", "tokens", "counted", "balance_ids", "basis", "http_status")
    assert tuple(booked[name] for name in names) == ("cached", "", 0, 0, 0, 0, [], "none", 200)
    assert booked["facts"] == {"saved_pico": 5, "original": "c-1"}
    assert (booked["duration_ms"], booked["streamed"]) == (3, True)
    assert house.sql("SELECT count(*) FROM call WHERE status = 'refused'") == [(1,)]
    assert house.sql("SELECT coalesce(sum(spent + held), 0)::bigint FROM balance") == [(0,)]


async def test_cached_answers_are_told_one_by_one_until_a_thousand_a_second(house: House) -> None:
    calls = Refusals()
    for _ in range(2_500):
        calls.add(cached(house), 7.5)
    rows = calls.take()
    assert len(rows) == 1_000
    assert sum(row["repeat_count"] for row in rows) == 2_500
    assert sum(row["facts"]["saved_pico"] for row in rows) == 12_500


async def test_a_snapshot_is_current_until_something_changes(house: House, ledger: Ledger) -> None:
    async def is_current() -> bool:
        return await ledger.is_current(
            uuid7(), organization_id=house.organization.pk, agent_id=house.agent.pk,
            organization_version=house.organization.policy_version, agent_version=house.agent.policy_version,
        )  # fmt: skip

    assert await is_current()
    for change in ("paused_at = now()", "paused_at = NULL, policy_version = policy_version + 1"):
        house.sql(f"UPDATE agent SET {change}")
        assert not await is_current()


async def test_a_refusal_that_cannot_be_written_does_not_hold_up_the_others(house: House, ledger: Ledger) -> None:
    ledger.upkeep._rows = [{"call_id": str(uuid7()), "http_status": 10**9}]
    await ledger.upkeep.write_refusals()
    ledger.record_refusal(refusal(house))
    await ledger.upkeep.write_refusals()
    assert house.sql("SELECT count(*) FROM call WHERE status = 'refused'") == [(1,)]


async def test_callers_share_flushes(house: House, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    await ledger.reserve(house.ask(1))
    sizes: list[tuple[int, int]] = []
    send = batchers.Batcher._send

    async def counted(self: batchers.Batcher, ends: list[object], asks: list[object]) -> None:
        sizes.append((len(ends), len(asks)))
        await send(self, ends, asks)  # type: ignore[arg-type]

    monkeypatch.setattr(batchers.Batcher, "_send", counted)
    asks = [house.ask(1) for _ in range(3 * 32)]

    async def caller(number: int) -> None:
        for ask in asks[number::32]:
            await ledger.reserve(ask)
            await ledger.settle(ask.call_id, CallEnd(cost_pico=1))

    await asyncio.gather(*map(caller, range(32)))
    # Six turns of 32 callers: they stay together, for they are woken before the next flush leaves.
    assert len(sizes) <= 8


async def test_work_for_meanwhile_is_done_before_the_answer_and_not_where_memory_refuses(
    house: House, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "REPEAT_SECONDS", 60)  # however slow the machine is
    done: list[str] = []
    await ledger.reserve(house.ask(1))  # opens the balances
    reserving = asyncio.create_task(ledger.reserve(house.ask(1), meanwhile=lambda: done.append("work")))
    reserving.add_done_callback(lambda _: done.append("answer"))
    await reserving
    await asyncio.sleep(0)
    assert done == ["work", "answer"]
    await ledger.drain()
    no_room = await in_thread(House, 0)
    for expected in (["work", "answer", "asked"], ["work", "answer", "asked"]):
        # The second refusal is repeated from memory: nothing is on its way that work could be done beside.
        with pytest.raises(BudgetRefused):
            await ledger.reserve(no_room.ask(1), meanwhile=lambda: done.append("asked"))
        await asyncio.sleep(0.01)
        assert done == expected
    no_room.connection.close()


async def test_beyond_the_bound_callers_hear_overloaded(
    house: House, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batchers, "ASKS_MAX", 3)
    asks = [house.ask(1) for _ in range(6)]
    heard = await asyncio.gather(*map(ledger.reserve, asks), return_exceptions=True)
    assert sum(isinstance(answer, LedgerOverloaded) for answer in heard) == 3


async def test_updates_of_balances_stay_off_the_indexes(house: House, ledger: Ledger) -> None:
    for _ in range(30):
        ask = house.ask(1)
        await ledger.reserve(ask)
        await ledger.settle(ask.call_id, CallEnd(cost_pico=1))
    definitions = house.sql("SELECT indexdef FROM pg_indexes WHERE tablename = 'balance'")
    assert not any("spent" in row[0] or "held" in row[0] for row in definitions)
    [(options,)] = house.sql("SELECT reloptions::text FROM pg_class WHERE relname = 'balance'")
    assert "fillfactor=50" in options


async def test_the_connections_have_their_limits(house: House, ledger: Ledger) -> None:
    await ledger.reserve(house.ask(1))
    connection = ledger.batcher._connection
    assert connection is not None
    names = ("lock_timeout", "statement_timeout", "jit", "synchronous_commit", "plan_cache_mode")
    setting = Statement("setting", "SELECT current_setting($1)")
    rows = [row for name in names for row in await connection.fetch(setting, [name])]
    assert [value for (value,) in rows] == ["2s", "5s", "off", "on", "force_generic_plan"]
