"""Reserve, settle and void: what moves, what is refused, and that nothing happens twice."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from accounts.ids import uuid7
from agents.budget_terms import BudgetTerms
from agents.budgets import create_budget
from agents.ledger import (
    AlreadyEnded,
    BudgetRefused,
    CallEnd,
    CallStart,
    Ledger,
    LedgerError,
    RefusalKind,
    Reservation,
    Stale,
)
from agents.ledger.terms import USD_PICO_MAX
from tests.agents.ledger_house import USD, House, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_call_is_held_then_booked_at_its_cost(house: House, ledger: Ledger) -> None:
    ask = house.ask(2 * USD)
    reservation = await ledger.reserve(ask)
    assert house.amounts() == (0, 2 * USD)
    assert reservation.tightest is not None
    assert reservation.tightest.available == 3 * USD
    outcome = await ledger.settle(ask.call_id, CallEnd(cost_pico=USD, tokens=40, input_tokens=30, output_tokens=10))
    assert outcome == "settled"
    assert house.amounts() == (USD, 0)
    assert house.amounts(house.meter) == (USD, 0)
    [row] = house.book(ask.call_id)
    assert (row["status"], row["cost_pico"], row["held_pico"], row["counted"]) == ("settled", USD, 2 * USD, 1)
    assert (row["provider"], row["model"], row["tags"]) == ("openai", "gpt-4o", {"team": "a"})
    assert row["reserved_at"] == reservation.reserved_at
    assert house.sql("SELECT count(*) FROM reservation") == [(0,)]


async def test_reserve_admits_the_last_pico_and_refuses_one_more(house: House, ledger: Ledger) -> None:
    await ledger.reserve(house.ask(5 * USD - 1))
    with pytest.raises(BudgetRefused) as refusal:
        await ledger.reserve(house.ask(2))
    assert refusal.value.facts.budget_id == house.budget.pk
    assert (refusal.value.facts.held, refusal.value.available, refusal.value.asked) == (5 * USD - 1, 1, 2)
    await ledger.reserve(house.ask(1))
    assert house.amounts() == (0, 5 * USD)


@pytest.mark.parametrize(
    ("spent", "held", "asked", "kind"),
    [
        (0, 0, 6, RefusalKind.TOO_EXPENSIVE),
        (3, 0, 3, RefusalKind.EXCEEDED),
        (1, 3, 2, RefusalKind.HELD_IN_FLIGHT),
        (4, 1, 6, RefusalKind.TOO_EXPENSIVE),
    ],
)
async def test_a_refusal_says_what_would_help(
    house: House, ledger: Ledger, spent: int, held: int, asked: int, kind: RefusalKind
) -> None:
    if spent:
        first = house.ask(spent * USD)
        await ledger.reserve(first)
        await ledger.settle(first.call_id, CallEnd(cost_pico=spent * USD))
    if held:
        await ledger.reserve(house.ask(held * USD))
    with pytest.raises(BudgetRefused) as refusal:
        await ledger.reserve(house.ask(asked * USD))
    assert refusal.value.kind == kind


async def test_a_refused_call_holds_nothing_on_any_budget(house: House, ledger: Ledger) -> None:
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(6 * USD))
    assert house.amounts() == (0, 0)
    assert house.amounts(house.meter) == (0, 0)


async def test_a_batch_that_passes_the_limit_is_decided_in_order_of_arrival(house: House, ledger: Ledger) -> None:
    asks = [house.ask(2 * USD), house.ask(2 * USD), house.ask(2 * USD), house.ask(USD)]
    answers = await asyncio.gather(*map(ledger.reserve, asks), return_exceptions=True)
    assert [isinstance(answer, BudgetRefused) for answer in answers] == [False, False, True, False]
    assert house.amounts() == (0, 5 * USD)


async def test_settles_of_a_flush_make_room_for_its_asks(house: House, ledger: Ledger) -> None:
    first = house.ask(5 * USD)
    await ledger.reserve(first)
    ending = ledger.settle(first.call_id, CallEnd(cost_pico=USD))
    await ledger.reserve(house.ask(4 * USD))
    assert await ending == "settled"
    assert house.amounts() == (USD, 4 * USD)


async def test_a_void_costs_nothing_and_counts_no_call(house: House, ledger: Ledger) -> None:
    calls = await in_thread(house.new_budget, unit="calls", limit=10)
    ask = house.ask(USD)
    await ledger.reserve(ask)
    assert house.amounts(calls) == (0, 1)
    assert await ledger.void(ask.call_id, CallEnd(cost_pico=7, reason="provider_unreachable")) == "voided"
    assert house.amounts(calls) == (0, 0)
    [row] = house.book(ask.call_id)
    assert (row["status"], row["cost_pico"], row["basis"], row["counted"]) == ("voided", 0, "none", 0)


async def test_tokens_and_calls_have_budgets_of_their_own(house: House, ledger: Ledger) -> None:
    tokens = await in_thread(house.new_budget, unit="tokens", limit=250)
    calls = await in_thread(house.new_budget, unit="calls", limit=2, window="total")
    first = house.ask(1, tokens=200)
    await ledger.reserve(first)
    with pytest.raises(BudgetRefused) as refusal:
        await ledger.reserve(house.ask(1, tokens=51))
    assert (refusal.value.facts.unit, refusal.value.facts.budget_id) == ("tokens", tokens.pk)
    await ledger.settle(first.call_id, CallEnd(cost_pico=1, tokens=120))
    assert house.amounts(tokens) == (120, 0)
    await ledger.reserve(house.ask(1, tokens=1))
    with pytest.raises(BudgetRefused) as refusal:
        await ledger.reserve(house.ask(1, tokens=1))
    assert (refusal.value.facts.unit, refusal.value.facts.budget_id) == ("calls", calls.pk)
    assert refusal.value.resets_at is None


async def test_a_soft_budget_admits_everything_and_counts_it(house: House, ledger: Ledger) -> None:
    soft = await in_thread(house.new_budget, mode="soft", limit=1, window="month")
    await ledger.reserve(house.ask(3 * USD))
    assert house.amounts(soft) == (0, 3 * USD)


async def test_a_refusal_names_the_budget_that_leaves_least_hope(house: House, ledger: Ledger) -> None:
    week = await in_thread(house.new_budget, window="week", limit=3 * USD)
    await ledger.reserve(house.ask(2 * USD))
    with pytest.raises(BudgetRefused) as refusal:
        await ledger.reserve(house.ask(4 * USD))  # Above the week's limit; only held by the day's.
    assert (refusal.value.facts.budget_id, refusal.value.kind) == (week.pk, RefusalKind.TOO_EXPENSIVE)


async def test_practice_calls_leave_real_balances_alone(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD, practice=True)
    await ledger.reserve(ask)
    assert (house.amounts(), house.amounts(practice=True)) == ((0, 0), (0, USD))
    await ledger.settle(ask.call_id, CallEnd(cost_pico=USD))
    assert (house.amounts(), house.amounts(practice=True)) == ((0, 0), (USD, 0))
    assert house.book(ask.call_id)[0]["practice"] is True


async def test_a_settle_above_the_hold_is_booked_in_full(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=7 * USD))
    assert house.amounts() == (7 * USD, 0)


async def test_the_same_ask_twice_holds_once(house: House, ledger: Ledger) -> None:
    ask = house.ask(3 * USD)
    await ledger.reserve(ask)
    await ledger.reserve(ask)  # 3 + 3 would not fit: the hold must recognise itself.
    assert house.amounts() == (0, 3 * USD)


async def test_the_same_ask_twice_in_one_batch_holds_once(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    await asyncio.gather(ledger.reserve(ask), ledger.reserve(ask))
    assert house.amounts() == (0, USD)


async def test_an_id_cannot_hold_another_amount(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    await ledger.reserve(ask)
    with pytest.raises(AlreadyEnded):
        await ledger.reserve(house.ask(2 * USD, call_id=ask.call_id))
    assert house.amounts() == (0, USD)


async def test_asks_whose_sum_the_database_cannot_hold_are_counted_one_by_one(house: House, ledger: Ledger) -> None:
    asks = [house.ask(USD_PICO_MAX, budgets=((house.meter.pk, ""),)) for _ in range(95)]
    answers = await asyncio.gather(*map(ledger.reserve, asks), return_exceptions=True)
    assert sum(isinstance(answer, Reservation) for answer in answers) == 92  # What a bigint holds.
    assert house.amounts(house.meter) == (0, 92 * USD_PICO_MAX)


async def test_an_ended_call_cannot_be_reserved_again(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=USD))
    with pytest.raises(AlreadyEnded):
        await ledger.reserve(ask)
    assert house.amounts() == (USD, 0)


async def test_the_same_settle_twice_counts_once(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    await ledger.reserve(ask)
    end = CallEnd(cost_pico=10, tokens=5)
    assert await asyncio.gather(ledger.settle(ask.call_id, end), ledger.settle(ask.call_id, end)) == ["settled", "same"]
    assert await ledger.settle(ask.call_id, end) == "same"
    assert house.amounts() == (10, 0)
    assert len(house.book(ask.call_id)) == 1


async def test_another_settle_of_the_same_call_is_kept_but_moves_nothing(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=10))
    for _ in range(2):
        assert await ledger.settle(ask.call_id, CallEnd(cost_pico=11)) == "conflict"
    assert await ledger.void(ask.call_id, CallEnd()) == "conflict"
    assert house.amounts() == (10, 0)
    rows = house.book(ask.call_id)
    assert [row["cost_pico"] for row in rows] == [10, 0, 0]
    assert rows[1]["facts"]["cost_pico"] == 11


async def test_the_end_of_an_unknown_call_moves_nothing(house: House, ledger: Ledger) -> None:
    assert await ledger.settle(uuid7(), CallEnd(cost_pico=5)) == "unknown"
    assert house.amounts() == (0, 0)


@pytest.mark.parametrize("days", [-2, 2])
async def test_an_id_from_another_day_is_refused(house: House, ledger: Ledger, days: int) -> None:
    at = datetime.now(UTC) + timedelta(days=days)
    with pytest.raises(LedgerError, match="more than a day off"):
        await ledger.reserve(house.ask(1, call_id=uuid7(int(at.timestamp() * 1000))))


async def test_a_stale_view_of_the_agent_is_told_so(house: House, ledger: Ledger) -> None:
    with pytest.raises(Stale):
        await ledger.reserve(house.ask(1, agent_version=99))
    with pytest.raises(Stale):
        await ledger.reserve(house.ask(1, organization_version=99))
    assert house.amounts() == (0, 0)


@pytest.mark.parametrize("change", ["paused_at", "archived_at"])
async def test_a_paused_agent_is_stale_even_with_the_right_version(house: House, ledger: Ledger, change: str) -> None:
    house.sql(f"UPDATE agent SET {change} = now() WHERE id = %s", house.agent.pk)
    with pytest.raises(Stale):
        await ledger.reserve(house.ask(1))


async def test_charlie_cannot_spend_for_alices_organisation(house: House, ledger: Ledger) -> None:
    charlie = await in_thread(House)
    with pytest.raises(Stale):
        await ledger.reserve(house.ask(1, agent_id=charlie.agent.pk, agent_version=1))
    charlie.connection.close()


async def test_a_caller_that_goes_away_leaves_no_hold(house: House, ledger: Ledger) -> None:
    tasks = [asyncio.create_task(ledger.reserve(house.ask(1))) for _ in range(50)]
    for turns, task in enumerate(tasks):
        for _ in range(turns % 5):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await ledger.drain()
    assert house.amounts() == (0, 0)


async def test_texts_that_postgresql_refuses_are_cleaned_not_lost(house: House, ledger: Ledger) -> None:
    start = CallStart(model="a\0b" + "x" * 300, session="\ud800", tags={"k\0": '\\u0000"'})
    ask = house.ask(USD, start=start)
    await ledger.reserve(ask)
    end = CallEnd(cost_pico=1, reason="r" * 99, facts={"odd": "\0", "big": 2**70})
    assert await ledger.settle(ask.call_id, end) == "settled"
    [row] = house.book(ask.call_id)
    assert row["model"].startswith("a\ufffdb")
    assert row["tags"] == {"k\ufffd": '\\u0000"'}


def nested(levels: int) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for _ in range(levels):
        facts = {"usage": [facts]}
    return facts


@pytest.mark.parametrize("levels", [126, 127, 200, 480])
async def test_what_an_upstream_nests_too_deep_holds_up_nobody(house: House, ledger: Ledger, levels: int) -> None:
    """Answers are read down to 1,024 levels, and written to the book in batches that all organisations share."""
    ask, other = house.ask(USD), house.ask(USD)
    await ledger.reserve(ask)
    await ledger.reserve(other)
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(
            ledger.settle(ask.call_id, CallEnd(cost_pico=3, facts=nested(levels))),
            ledger.settle(other.call_id, CallEnd(cost_pico=4)),
        )
    assert outcomes == ["settled", "settled"]
    assert house.amounts() == (7, 0)
    [row] = house.book(ask.call_id)
    assert "usage" in row["facts"]


async def test_an_ending_that_cannot_be_written_keeps_its_amount(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    other = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.reserve(other)
    outcomes = await asyncio.gather(
        ledger.settle(ask.call_id, CallEnd(cost_pico=3, http_status=10**9)),
        ledger.settle(other.call_id, CallEnd(cost_pico=4)),
    )
    assert outcomes == ["settled", "settled"]
    assert house.amounts() == (7, 0)
    assert house.book(ask.call_id)[0]["reason"] == "unwritable"


class _Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError


async def test_an_ending_that_cannot_even_be_made_ready_keeps_its_amount(house: House, ledger: Ledger) -> None:
    """The task that writes for everybody goes on."""
    ask, other = house.ask(USD), house.ask(USD)
    await ledger.reserve(ask)
    await ledger.reserve(other)
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(
            ledger.settle(ask.call_id, CallEnd(cost_pico=3, facts={"usage": _Unspeakable()})),
            ledger.settle(other.call_id, CallEnd(cost_pico=4)),
        )
    assert outcomes == ["settled", "settled"]
    assert house.amounts() == (7, 0)
    assert house.book(ask.call_id)[0]["reason"] == "unwritable"


async def test_a_negative_cost_charges_what_was_held(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=-5))
    assert house.amounts() == (USD, 0)
    assert house.book(ask.call_id)[0]["basis"] == "worst_case"


async def test_the_book_cannot_be_edited(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=1))
    for statement in ("UPDATE call SET cost_pico = 0", "DELETE FROM call"):
        with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
            house.sql(statement)


async def test_the_ledger_refuses_other_isolation_levels(house: House) -> None:
    with house.transaction() as other:
        other.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(psycopg.Error, match="read committed"):
            other.execute("SELECT ledger_assert_read_committed()")


async def test_balances_and_calls_can_be_asked_for(house: House, ledger: Ledger) -> None:
    before = await ledger.balances_of(house.budgets[::-1])
    assert [(facts.scope, facts.limit, facts.spent) for facts in before] == [
        ("agent", 5 * USD, 0),
        ("organization", None, 0),
    ]
    ask = house.ask(USD)
    await ledger.reserve(ask)
    running = await ledger.call_state(ask.call_id, house.agent.pk)
    assert running is not None
    assert (running.status, running.held_pico, running.model) == ("running", USD, "gpt-4o")
    await ledger.settle(ask.call_id, CallEnd(cost_pico=9, input_tokens=3))
    ended = await ledger.call_state(ask.call_id, house.agent.pk)
    assert ended is not None
    assert (ended.status, ended.cost_pico, ended.input_tokens) == ("settled", 9, 3)
    assert (await ledger.balances_of(house.budgets[::-1]))[0].spent == 9
    assert await ledger.call_state(ask.call_id, house.organization.pk) is None


async def test_usage_from_elsewhere_is_booked_under_the_present_policy_alone(house: House, ledger: Ledger) -> None:
    """A budget that was made a moment ago is seeded from the book: what it did not see, it must count."""
    call_id, end = uuid7(), CallEnd(cost_pico=USD, tokens=40)

    async def record(budgets: list[tuple[int, str]], agent_version: int, organization_version: int) -> str:
        return await ledger.record_usage(
            call_id, house.organization.pk, house.agent.pk, CallStart(endpoint="usage"), end, budgets,
            (organization_version, agent_version),
        )  # fmt: skip

    before, versions = list(house.budgets), house.versions(house.agent)
    terms = BudgetTerms(scope="agent", window="week", limit=None)
    week = await in_thread(create_budget, house.organization, house.agent, terms, None)
    assert await record(before, *versions) == "stale"
    assert house.amounts() == house.amounts(week) == (0, 0)
    budgets = [*before, (week.pk, "")]
    assert await record(budgets, *house.versions(house.agent)) == "booked"
    assert house.amounts() == house.amounts(week) == house.amounts(house.meter) == (USD, 0)
    assert await record(before, *versions) == "same", "what is booked needs no policy"
    assert len(house.book(call_id)) == 1
