"""Every kind of budget in the ledger: subjects, rolling windows, limits that calls bring, top-ups, calls at a time."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from agents import budgets, corrections
from agents.audit import audit
from agents.budget_terms import BadBudget, BudgetTerms
from agents.ledger import BudgetRefused, CallEnd, CallStart, Ledger, RefusalKind
from agents.ledger.purge import purge
from agents.models import Budget, Call
from tests.agents.ledger_house import USD, House, in_thread
from tests.cast import alice

pytestmark = pytest.mark.django_db(transaction=True)


def session_ask(house: House, budget: Budget, session: str, usd_pico: int, **fields: Any) -> Any:
    """An ask of a session that counts against the organisation, the agent and the session's budget."""
    named = ((house.meter.pk, ""), (house.budget.pk, ""), (budget.pk, session))
    return house.ask(usd_pico, budgets=named, start=CallStart(session=session), **fields)


async def per_session(house: House, limit: int = 2 * USD, **terms: Any) -> Budget:
    values: dict[str, Any] = {"scope": "session", "window": "session", "limit": limit} | terms
    return await in_thread(budgets.create_budget, house.organization, house.agent, BudgetTerms(**values), None)


async def test_a_budget_per_session_starts_each_session_anew(house: House, ledger: Ledger) -> None:
    budget = await per_session(house)
    await ledger.reserve(session_ask(house, budget, "one", 2 * USD))
    await ledger.reserve(session_ask(house, budget, "two", 2 * USD))
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(session_ask(house, budget, "one", 1))
    assert (refused.value.facts.scope, refused.value.facts.subject) == ("session", "one")


async def test_a_session_that_ran_before_its_budget_is_seeded_with_its_past(house: House, ledger: Ledger) -> None:
    past = [house.ask(USD, start=CallStart(session="one")) for _ in range(2)]
    for ask in past:
        await ledger.reserve(ask)
    await ledger.settle(past[0].call_id, CallEnd(cost_pico=USD // 2))
    budget = await per_session(house)
    await ledger.reserve(session_ask(house, budget, "one", USD // 2))
    assert house.amounts(budget) == (USD // 2, 3 * USD // 2)
    with pytest.raises(BudgetRefused):
        await ledger.reserve(session_ask(house, budget, "one", 1))
    await ledger.settle(past[1].call_id, CallEnd(cost_pico=1))
    assert house.amounts(budget) == (USD // 2 + 1, USD // 2)
    assert (await in_thread(audit)).ok


async def test_a_purged_session_comes_back_with_what_it_spent(house: House, ledger: Ledger) -> None:
    budget = await per_session(house)
    ask = session_ask(house, budget, "one", USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=USD))
    house.sql("DELETE FROM balance WHERE budget_id = %s", budget.pk)
    await ledger.reserve(session_ask(house, budget, "one", USD))
    with pytest.raises(BudgetRefused):
        await ledger.reserve(session_ask(house, budget, "one", 1))


async def test_the_purge_takes_what_is_over_and_leaves_what_is_held_or_in_use(house: House, ledger: Ledger) -> None:
    budget = await per_session(house)
    rests, runs, recent = (session_ask(house, budget, name, 1) for name in ("rests", "runs", "recent"))
    for ask in (rests, runs, recent):
        await ledger.reserve(ask)
    for ask in (rests, recent):
        await ledger.settle(ask.call_id, CallEnd(cost_pico=1))
    house.sql("UPDATE balance SET opened_at = opened_at - interval '50 days' WHERE subject <> ''")
    assert house.sql("SELECT ledger_purge(100)") == [(0,)]  # all three are in the book of the last days
    house.sql(
        "CREATE OR REPLACE FUNCTION ledger_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS"
        " 'SELECT clock_timestamp() + interval ''60 days'''"
    )
    try:
        assert await in_thread(purge) == 2
    finally:
        house.sql(
            "CREATE OR REPLACE FUNCTION ledger_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS"
            " 'SELECT clock_timestamp()'"
        )
    assert house.sql("SELECT subject FROM balance WHERE budget_id = %s", budget.pk) == [("runs",)]


async def test_a_reset_lets_a_session_begin_anew_on_every_process(house: House, ledger: Ledger) -> None:
    """D3: no process keeps the old total."""
    budget = await per_session(house)
    other = Ledger()
    await other.start()
    first = session_ask(house, budget, "one", 2 * USD)
    await ledger.reserve(first)
    assert house.sql("SELECT ledger_reset_session(%s, 'one', false)", house.agent.pk) == [(1,)]
    await other.reserve(session_ask(house, budget, "one", USD))
    await ledger.reserve(session_ask(house, budget, "one", USD))
    with pytest.raises(BudgetRefused):
        await ledger.reserve(session_ask(house, budget, "one", 1))
    await ledger.settle(first.call_id, CallEnd(cost_pico=5))
    assert house.sql("SELECT spent, held FROM balance WHERE budget_id = %s ORDER BY id", budget.pk) == [
        (5, 0),
        (0, 2 * USD),
    ]
    assert house.sql("SELECT ledger_reset_session(gen_random_uuid(), 'one', false)") == [(0,)]
    await other.stop()


async def rolling(house: House, limit: int) -> Budget:
    """A rolling budget, and no other limit on the agent."""
    house.sql('UPDATE budget SET "limit" = NULL WHERE id = %s', house.budget.pk)
    terms = BudgetTerms(scope="agent", window="rolling_24h", limit=limit)
    budget = await in_thread(budgets.create_budget, house.organization, house.agent, terms, None)
    house.budgets.append((budget.pk, ""))
    return budget


def shift(house: House, budget: Budget, hours: float) -> None:
    """Let a rolling budget's calls have been reserved so much earlier."""
    house.sql(
        "UPDATE balance_bucket SET bucket_start = bucket_start - make_interval(hours => %s)"
        " WHERE balance_id IN (SELECT id FROM balance WHERE budget_id = %s)",
        int(hours), budget.pk,
    )  # fmt: skip


async def test_a_rolling_budget_gives_room_back_after_a_day_and_never_earlier(house: House, ledger: Ledger) -> None:
    """D11: $5 spent now are free again in the hour after the same time tomorrow."""
    budget = await rolling(house, 5 * USD)
    ask = house.ask(5 * USD)
    reservation = await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=5 * USD))
    for hours in (0, 23):
        shift(house, budget, hours)
        with pytest.raises(BudgetRefused) as refused:
            await ledger.reserve(house.ask(1))
        assert refused.value.kind is RefusalKind.EXCEEDED
        room_at = refused.value.resets_at
        assert room_at is not None
        hour = reservation.reserved_at.replace(minute=0, second=0, microsecond=0)
        assert room_at == hour + timedelta(hours=25 - hours)
        await asyncio.sleep(0.26)  # past what is repeated from memory
    shift(house, budget, 1)
    still_within = house.sql("SELECT max(bucket_start) + interval '25 hours' > clock_timestamp() FROM balance_bucket")
    assert still_within == [(True,)]
    shift(house, budget, 1)
    await ledger.reserve(house.ask(5 * USD))


async def test_two_processes_in_neighbouring_hours_share_a_rolling_limit(house: House, ledger: Ledger) -> None:
    budget = await rolling(house, 10)
    other = Ledger()
    await other.start()
    first = house.ask(4)
    await ledger.reserve(first)
    await ledger.settle(first.call_id, CallEnd(cost_pico=4))
    shift(house, budget, 1)
    asks = [house.ask(1) for _ in range(12)]
    answers = await asyncio.gather(
        *(which.reserve(ask) for which, ask in zip([ledger, other] * 6, asks, strict=True)), return_exceptions=True
    )
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 6
    await other.stop()


async def test_a_correction_of_an_old_call_makes_no_room_in_a_rolling_budget(house: House, ledger: Ledger) -> None:
    """Money that left the 24 hours is not given back a second time."""
    budget = await rolling(house, 5 * USD)
    lost = house.ask(4 * USD)
    await ledger.reserve(lost)
    house.sql("UPDATE reservation SET deadline_at = now(), reserved_at = reserved_at - interval '30 hours'")
    house.sql("UPDATE owner_lease SET expires_at = '-infinity'")
    house.sql("SELECT ledger_expire(false, 10, interval '1 hour')")
    full = house.ask(5 * USD)
    await ledger.reserve(full)
    await ledger.settle(full.call_id, CallEnd(cost_pico=5 * USD))
    assert await ledger.settle(lost.call_id, CallEnd(cost_pico=0)) == "corrected"
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(1))
    assert house.amounts(budget)[0] == 5 * USD


async def test_a_new_rolling_budget_starts_with_the_last_day(house: House, ledger: Ledger) -> None:
    ask = house.ask(3 * USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=3 * USD))
    await rolling(house, 4 * USD)
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(USD + 1))
    await ledger.reserve(house.ask(USD))


async def test_a_limit_that_a_call_brings_tightens_for_that_call_alone(house: House, ledger: Ledger) -> None:
    capped = house.ask(3 * USD, caps=((house.budget.pk, 2 * USD),))
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(capped)
    assert refused.value.by_cap
    assert refused.value.facts.limit == 2 * USD
    assert refused.value.kind is RefusalKind.TOO_EXPENSIVE
    await ledger.reserve(house.ask(3 * USD))
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(1, caps=((house.budget.pk, 3 * USD),)))
    reservation = await ledger.reserve(house.ask(1, caps=((house.budget.pk, 3 * USD + 1),)))
    assert reservation.tightest is not None
    assert reservation.tightest.available == 0


async def test_a_limit_that_a_call_brings_never_raises(house: House, ledger: Ledger) -> None:
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(house.ask(6 * USD, caps=((house.budget.pk, 100 * USD),)))
    assert not refused.value.by_cap
    assert refused.value.facts.limit == 5 * USD


async def test_asks_with_different_limits_in_one_flush_are_each_held_to_their_own(house: House, ledger: Ledger) -> None:
    asks = [house.ask(USD, caps=((house.budget.pk, limit * USD),)) for limit in (1, 2, 2, 3, 1)]
    answers = await asyncio.gather(*(ledger.reserve(ask) for ask in asks), return_exceptions=True)
    assert [isinstance(answer, BudgetRefused) for answer in answers] == [False, False, True, False, True]
    assert house.amounts() == (0, 3 * USD)


async def test_a_refusal_by_a_calls_own_limit_is_not_repeated_to_others(house: House, ledger: Ledger) -> None:
    house.sql("UPDATE budget SET mode = 'soft' WHERE id = %s", house.budget.pk)
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(9 * USD, caps=((house.budget.pk, USD),)))
    await ledger.reserve(house.ask(9 * USD))  # soft: only the other call's own limit refused


async def test_a_top_up_holds_for_the_next_call_and_is_gone_after_the_window(house: House, ledger: Ledger) -> None:
    await ledger.reserve(house.ask(5 * USD))
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(1))
    await in_thread(budgets.top_up, house.budget, 2 * USD, None)
    reservation = await ledger.reserve(house.ask(2 * USD))
    assert reservation.tightest is not None
    assert reservation.tightest.limit == 7 * USD
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(house.ask(1))
    assert refused.value.facts.limit == 7 * USD
    house.sql(
        "UPDATE balance SET window_end = clock_timestamp() - interval '1 second',"
        " window_start = window_start - interval '1 day'"
    )
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(5 * USD + 1))
    await ledger.reserve(house.ask(5 * USD))


async def test_a_budget_without_limit_stays_unlimited_whatever_was_added_to_it(house: House, ledger: Ledger) -> None:
    await in_thread(budgets.top_up, house.budget, 2 * USD, None)
    await in_thread(budgets.set_limit, house.budget, None, None)
    reservation = await ledger.reserve(house.ask(99 * USD))
    assert reservation.tightest is None
    facts = await ledger.balances_of(house.budgets)
    assert {budget.limit for budget in facts} == {None}


@pytest.mark.parametrize("amount", [0, -1, 10**19])
def test_a_top_up_of_nothing_or_of_too_much_is_refused(house: House, amount: int) -> None:
    with pytest.raises(BadBudget):
        budgets.top_up(house.budget, amount, None)


async def test_calls_at_a_time_are_open_reservations(house: House, ledger: Ledger) -> None:
    """A17: whatever way calls end, the place is free again."""
    terms = {"scope": "agent", "agent": house.agent, "unit": "parallel", "window": "total", "limit": 2}
    budget = await in_thread(budgets.add_budget, Budget(organization=house.organization, **terms), None)
    house.budgets.append((budget.pk, ""))
    running = [house.ask(1) for _ in range(2)]
    for ask in running:
        await ledger.reserve(ask)
    for _ in range(3):
        with pytest.raises(BudgetRefused) as refused:
            await ledger.reserve(house.ask(1))
        assert refused.value.kind is RefusalKind.HELD_IN_FLIGHT
        assert refused.value.facts.unit == "parallel"
    await ledger.settle(running[0].call_id, CallEnd(cost_pico=1))
    await ledger.void(running[1].call_id, CallEnd())
    assert house.amounts(budget) == (0, 0)
    await ledger.reserve(house.ask(1))
    house.sql("UPDATE owner_lease SET expires_at = '-infinity'")
    house.sql("SELECT ledger_expire(false, 10, interval '1 hour')")
    assert house.amounts(budget) == (0, 0)


async def test_a_correction_moves_every_balance_that_counted_the_call(house: House, ledger: Ledger) -> None:
    admin = (await in_thread(alice)).user
    ask = house.ask(4 * USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=4 * USD, basis="worst_case"))
    later = BudgetTerms(scope="agent", window="month", limit=9 * USD)
    seeded = await in_thread(budgets.create_budget, house.organization, house.agent, later, None)
    await in_thread(corrections.correct, house.organization, ask.call_id, USD, "Invoice of May", admin)
    assert house.amounts() == (USD, 0)
    assert house.amounts(seeded) == (USD, 0)
    [_, fix] = house.book(ask.call_id)
    assert (fix["reason"], fix["cost_pico"], fix["facts"]["why"]) == ("amended", -3 * USD, "Invoice of May")
    assert (await in_thread(audit)).ok


async def test_a_correction_leaves_a_rolling_budget_alone_that_was_never_charged_for_the_call(
    house: House, ledger: Ledger
) -> None:
    """Though the budget knows the hour: of another call, which was still open when the budget was made."""
    admin = (await in_thread(alice)).user
    ended, open_one = house.ask(USD), house.ask(USD)
    for ask in (ended, open_one):
        await ledger.reserve(ask)
    house.sql("UPDATE reservation SET reserved_at = reserved_at - interval '30 hours'")
    await ledger.settle(ended.call_id, CallEnd(cost_pico=USD, basis="worst_case"))
    budget = await rolling(house, 5 * USD)
    await ledger.reserve(house.ask(1))
    await ledger.settle(open_one.call_id, CallEnd(cost_pico=7))
    assert house.amounts(budget) == (7, 1)
    await in_thread(corrections.correct, house.organization, ended.call_id, 0, "Invoice", admin)
    assert house.amounts(budget) == (7, 1)


async def test_what_a_person_said_of_an_expired_call_stands_when_its_ending_comes_late(
    house: House, ledger: Ledger
) -> None:
    admin = (await in_thread(alice)).user
    lost = house.ask(4 * USD)
    await ledger.reserve(lost)
    house.sql("UPDATE owner_lease SET expires_at = '-infinity'")
    house.sql("SELECT ledger_expire(false, 10, interval '1 hour')")
    await in_thread(corrections.correct, house.organization, lost.call_id, USD, "Invoice", admin)
    assert await ledger.settle(lost.call_id, CallEnd(cost_pico=3 * USD)) == "conflict"
    assert house.amounts() == (USD, 0)
    assert (await in_thread(audit)).ok


async def test_a_charge_by_the_providers_usage_is_not_corrected(house: House, ledger: Ledger) -> None:
    admin = (await in_thread(alice)).user
    ask = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=USD, basis="usage"))
    with pytest.raises(corrections.CannotCorrect):
        await in_thread(corrections.correct, house.organization, ask.call_id, 1, "wrong", admin)
    assert await in_thread(Call.objects.filter(call_id=ask.call_id).count) == 1
