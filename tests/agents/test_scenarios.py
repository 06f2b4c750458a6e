"""How budgets of such products fail their users (scenarios A and D), on the ledger itself."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from accounts.ids import uuid7
from agents import budgets, keys
from agents.budget_terms import BudgetTerms
from agents.ledger import BudgetRefused, CallEnd, CallStart, Ledger, RefusalKind
from agents.ledger.answers import REPEAT_SECONDS
from agents.models import Budget, KeyMode
from tests.agents.ledger_house import USD, House, in_thread
from tests.agents.ledger_walk import movable_clock

pytestmark = pytest.mark.django_db(transaction=True)

CENT = USD // 100


async def new_budget(house: House, **terms: Any) -> Budget:
    """A budget made as people make it, that every further ask names."""
    agent = None if terms["scope"] == "organization" else house.agent
    budget = await in_thread(budgets.create_budget, house.organization, agent, BudgetTerms(**terms), None)
    house.budgets.append((budget.pk, ""))
    return budget


async def outcomes(ledger: Ledger, asks: list[Any]) -> list[bool]:
    """Ask all at once; whether each was admitted."""
    answers = await asyncio.gather(*(ledger.reserve(ask) for ask in asks), return_exceptions=True)
    assert all(isinstance(answer, BudgetRefused) for answer in answers if isinstance(answer, BaseException)), answers
    return [not isinstance(answer, BaseException) for answer in answers]


def at_moment(house: House, moment: datetime) -> None:
    """Set the ledger's clock."""
    house.sql("UPDATE walk_clock SET step = %s - clock_timestamp()", moment)
    house.sql("SELECT ensure_partitions(2, 3)")


def ask_at(house: House, moment: datetime, usd_pico: int, **fields: Any) -> Any:
    """An ask whose id carries that moment."""
    return house.ask(usd_pico, call_id=uuid7(int(moment.timestamp() * 1000)), **fields)


async def past_memory() -> None:
    """A refusal may be repeated from memory for a quarter of a second."""
    await asyncio.sleep(REPEAT_SECONDS + 0.01)


async def spend(ledger: Ledger, ask: Any) -> None:
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=ask.usd_pico, tokens=ask.tokens))


async def test_of_fifty_calls_at_once_a_session_budget_admits_those_that_fit(house: House, ledger: Ledger) -> None:
    """A1: $1.00 for a session, $0.30 for each call: exactly three pass."""
    session = await new_budget(house, scope="session", window="session", limit=USD)
    named = ((house.meter.pk, ""), (house.budget.pk, ""), (session.pk, "run"))
    asks = [house.ask(30 * CENT, budgets=named, start=CallStart(session="run")) for _ in range(50)]
    assert sum(await outcomes(ledger, asks)) == 3


async def test_the_last_ten_cents_are_never_passed_at_any_moment(house: House, ledger: Ledger) -> None:
    """A3: several processes call at once; at every look spent + held is within the limit."""
    others = [Ledger() for _ in range(3)]
    for other in others:
        await other.start()
    await spend(ledger, house.ask(490 * CENT))
    highest = 0

    async def look() -> None:
        nonlocal highest
        while True:
            highest = max(highest, sum(house.amounts()))
            await asyncio.sleep(0.002)

    async def call(through: Ledger) -> None:
        for _ in range(5):
            ask = house.ask(CENT)
            if (await outcomes(through, [ask]))[0]:
                await through.settle(ask.call_id, CallEnd(cost_pico=CENT // 2))

    looking = asyncio.create_task(look())
    await asyncio.gather(*(call(through) for through in [ledger, *others] for _ in range(8)))
    looking.cancel()
    while (await outcomes(ledger, [house.ask(CENT)]))[0]:
        pass  # hold whatever is still to be had
    highest = max(highest, sum(house.amounts()))
    assert 499 * CENT < highest <= 5 * USD
    for other in others:
        await other.stop()


async def test_holds_are_gone_however_calls_end(house: House, ledger: Ledger) -> None:
    """A6: success, error, cancelled callers, processes that died: nothing stays held."""
    random = Random(6)
    house.sql('UPDATE budget SET "limit" = NULL')
    dying = Ledger()
    await dying.start()
    for _ in range(60):
        ask = house.ask(CENT)
        match random.choice(("success", "error", "cancel", "crash")):
            case "success":
                await spend(ledger, ask)
            case "error":
                await ledger.reserve(ask)
                await ledger.void(ask.call_id, CallEnd())
            case "cancel":
                task = asyncio.create_task(ledger.reserve(ask))
                await asyncio.sleep(random.choice((0, 0.001)))
                task.cancel()
                answer = (await asyncio.gather(task, return_exceptions=True))[0]
                if not isinstance(answer, BaseException):
                    await ledger.void(ask.call_id, CallEnd())
            case "crash":
                await dying.reserve(ask)
    await dying.stop()  # its lease is given back: what it held expires
    await ledger.drain()
    await ledger.upkeep.reap(is_cautious=False)
    await ledger.drain()
    assert house.amounts()[1] == 0
    assert house.sql("SELECT count(*) FROM reservation") == [(0,)]


async def test_load_below_the_limit_is_never_refused(house: House, ledger: Ledger) -> None:
    """A7: at 60 % of the limit nothing is refused while calls settle."""

    async def call() -> None:
        for _ in range(20):
            await spend(ledger, house.ask(CENT))

    house.sql('UPDATE budget SET "limit" = %s WHERE id = %s', 20 * 15 * CENT * 10 // 6, house.budget.pk)
    await asyncio.gather(*(call() for _ in range(15)))
    assert house.amounts() == (20 * 15 * CENT, 0)


async def test_a_budget_full_of_holds_is_told_from_one_that_is_spent(house: House, ledger: Ledger) -> None:
    """A8: ten large holds at nothing spent: held by running calls, and room again as they settle."""
    house.sql('UPDATE budget SET "limit" = %s WHERE id = %s', 25 * USD, house.budget.pk)
    running = [house.ask(5 * USD) for _ in range(10)]
    admitted = await outcomes(ledger, running)
    assert sum(admitted) == 5
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(house.ask(5 * USD))
    assert refused.value.kind is RefusalKind.HELD_IN_FLIGHT
    for ask, was in zip(running, admitted, strict=True):
        if was:
            await ledger.settle(ask.call_id, CallEnd(cost_pico=CENT))
    assert sum(await outcomes(ledger, [house.ask(5 * USD) for _ in range(5)])) == 4


async def test_whatever_else_is_edited_an_exhausted_budget_refuses(house: House, ledger: Ledger) -> None:
    """A10, D9, D12: renaming, thresholds, a rotated key, a touched organisation: spent stays spent."""
    await spend(ledger, house.ask(5 * USD))
    await in_thread(budgets.rename, house.agent, "Another name", None)
    await in_thread(budgets.change_terms, house.budget, mode="hard", thresholds=(90,), by=None)
    key, _ = await in_thread(keys.issue, house.agent, KeyMode.LIVE, by=None)
    await in_thread(keys.revoke, key, by=None)
    await in_thread(budgets.touch_organization, house.organization.pk)
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(1))
    await in_thread(budgets.set_limit, house.budget, 6 * USD, None)
    assert house.amounts() == (5 * USD, 0)
    await past_memory()
    assert await outcomes(ledger, [house.ask(USD + 1), house.ask(USD)]) == [False, True]


async def test_what_is_written_is_what_is_read_back(house: House) -> None:
    """A11: every part of a budget is saved, and a part that does not exist is an error."""
    terms = {"scope": "agent_user", "unit": "tokens", "window": "week", "mode": "soft", "limit": 7, "scope_name": "u"}
    budget = await new_budget(house, **terms, thresholds=(10, 90))
    saved = await in_thread(Budget.objects.get, pk=budget.pk)
    assert {name: getattr(saved, name) for name in terms} == terms
    assert saved.thresholds == [10, 90]
    with pytest.raises(TypeError):
        BudgetTerms(scope="agent", max_budget=5)  # type: ignore[call-arg]


@pytest.mark.parametrize(("limit", "passes"), [(0, False), (None, True)])
async def test_nothing_and_no_limit_are_different(
    house: House, ledger: Ledger, limit: int | None, passes: bool
) -> None:
    """A13: 0 refuses the first paid call; an empty limit admits it."""
    await in_thread(budgets.set_limit, house.budget, limit, None)
    assert await outcomes(ledger, [house.ask(1)]) == [passes]


async def test_a_call_that_costs_nothing_passes_an_exhausted_budget(house: House, ledger: Ledger) -> None:
    """A15: a model priced at exactly nothing fits whatever is left."""
    await spend(ledger, house.ask(5 * USD))
    assert await outcomes(ledger, [house.ask(0)]) == [True]


async def test_every_call_counts_though_no_task_runs(house: House, ledger: Ledger) -> None:
    """A19: enforcement reads what the settle wrote; sums for pages come later."""
    for _ in range(5):
        await spend(ledger, house.ask(USD))
    assert house.sql("SELECT count(*) FROM hourly_usage") == [(0,)]
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(1))


async def test_a_token_budget_counts_tokens_and_not_calls(house: House, ledger: Ledger) -> None:
    """A20: 30 tokens do not let 150 pass."""
    await new_budget(house, scope="agent", unit="tokens", limit=30)
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(house.ask(1, tokens=150))
    assert (refused.value.facts.unit, refused.value.asked) == ("tokens", 150)
    await spend(ledger, house.ask(1, tokens=29))
    assert await outcomes(ledger, [house.ask(1, tokens=2), house.ask(1, tokens=1)]) == [False, True]


@pytest.mark.parametrize("tightest_first", ["session agent organization", "organization agent session"])
@pytest.mark.parametrize("exhausted", list(itertools.product((False, True), repeat=3)))
async def test_the_tightest_of_three_budgets_refuses_and_is_named(
    house: House, ledger: Ledger, exhausted: tuple[bool, bool, bool], tightest_first: str
) -> None:
    """A21, E11: session, agent and organisation, in all eight combinations, and whichever of them is the tightest."""
    session = await new_budget(house, scope="session", window="session", limit=5 * USD)
    named = ((house.meter.pk, ""), (house.budget.pk, ""), (session.pk, "run"))
    rows = {"organization": house.meter, "agent": house.budget, "session": session}
    order = tightest_first.split()
    too_small = [name for name, full in zip(rows, exhausted, strict=True) if full]
    for name, budget in rows.items():
        limit = (order.index(name) + 1) * CENT if name in too_small else 5 * USD
        await in_thread(budgets.set_limit, budget, limit, None)
    ask = house.ask(USD, budgets=named, start=CallStart(session="run"))
    if not any(exhausted):
        assert await outcomes(ledger, [ask]) == [True]
        return
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(ask)
    assert refused.value.facts.scope == min(too_small, key=order.index)


async def test_one_long_call_cannot_pass_the_last_cent(house: House, ledger: Ledger) -> None:
    """A22: what could cost $5 is refused when one cent is left."""
    await spend(ledger, house.ask(499 * CENT))
    assert await outcomes(ledger, [house.ask(5 * USD), house.ask(CENT)]) == [False, True]


@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("Asia/Tokyo", datetime(2026, 6, 10, 15, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 6, 10, 4, tzinfo=UTC)),
        ("Asia/Kolkata", datetime(2026, 6, 10, 18, 30, tzinfo=UTC)),
    ],
)
async def test_an_agent_runs_again_in_the_first_second_of_its_local_day(
    house: House, ledger: Ledger, zone: str, midnight: datetime
) -> None:
    """D1, D6: by the clock alone; no job has run."""
    house.sql("UPDATE organization SET time_zone = %s", zone)
    before, after = midnight - timedelta(seconds=30), midnight + timedelta(milliseconds=500)
    with movable_clock(house, Random(1)):
        at_moment(house, before - timedelta(hours=2))
        await spend(ledger, ask_at(house, before, 5 * USD))
        at_moment(house, before)
        with pytest.raises(BudgetRefused) as refused:
            await ledger.reserve(ask_at(house, before, 1))
        assert refused.value.resets_at == midnight
        at_moment(house, after)
        await past_memory()
        await ledger.reserve(ask_at(house, after, 5 * USD))


@pytest.mark.parametrize(
    ("noon", "hours"), [(datetime(2026, 3, 29, 10, tzinfo=UTC), 23), (datetime(2026, 10, 25, 11, tzinfo=UTC), 25)]
)
async def test_the_day_that_clocks_change_resets_once(house: House, ledger: Ledger, noon: datetime, hours: int) -> None:
    """D2: 23 and 25 hours in Berlin, and one window."""
    house.sql("UPDATE organization SET time_zone = 'Europe/Berlin'")
    with movable_clock(house, Random(1)):
        at_moment(house, noon)
        await spend(ledger, ask_at(house, noon, USD))
        [(start, end)] = house.sql(
            "SELECT window_start, window_end FROM balance WHERE budget_id = %s AND NOT practice", house.budget.pk
        )
        assert (end - start).total_seconds() == hours * 3600
        windows = set()
        for step in range(0, hours * 60, 45):
            moment = start + timedelta(minutes=step)
            at_moment(house, moment)
            ask = ask_at(house, moment, 0)
            windows.add(next(b.window_start for b in (await ledger.reserve(ask)).budgets if b.scope == "agent"))
            await ledger.void(ask.call_id, CallEnd())
        assert windows == {start}


async def test_a_new_budget_is_not_reset_before_its_first_boundary(house: House, ledger: Ledger) -> None:
    """D4: minutes after it was made it still knows what was spent."""
    noon = datetime(2026, 6, 10, 12, tzinfo=UTC)
    with movable_clock(house, Random(1)):
        at_moment(house, noon)
        await spend(ledger, ask_at(house, noon, 4 * USD))
        later = noon + timedelta(minutes=10)
        at_moment(house, later)
        assert await outcomes(ledger, [ask_at(house, later, 2 * USD)]) == [False]


async def test_a_new_daily_budget_counts_today_and_not_a_lifetime(house: House, ledger: Ledger) -> None:
    """D5: $500 in a life, $10 a day: only today counts."""
    yesterday, today = datetime(2026, 6, 9, 12, tzinfo=UTC), datetime(2026, 6, 10, 12, tzinfo=UTC)
    house.sql('UPDATE budget SET "limit" = NULL')
    with movable_clock(house, Random(1)):
        at_moment(house, yesterday)
        await spend(ledger, ask_at(house, yesterday, 500 * USD))
        at_moment(house, today)
        await spend(ledger, ask_at(house, today, 4 * USD))
        weekly = await new_budget(house, scope="agent", unit="usd", window="week", limit=600 * USD)
        assert house.amounts(weekly)[0] == 504 * USD
        await in_thread(budgets.end_budget, house.budget, by=None)  # makes place for another of its kind
        house.budgets.remove((house.budget.pk, ""))
        daily = await new_budget(house, scope="agent", unit="usd", window="day", limit=10 * USD)
        assert house.amounts(daily)[0] == 4 * USD
        own = await new_budget(house, scope="agent", unit="calls", window="day", limit=10)
        assert house.amounts(own)[0] == 1
        assert await outcomes(ledger, [ask_at(house, today, 6 * USD), ask_at(house, today, 1)]) == [True, False]


async def test_a_reset_or_a_new_day_leaves_the_lifetime_alone(house: House, ledger: Ledger) -> None:
    """D8: the total counts on, each window keeps its own, and the book loses nothing."""
    total = await new_budget(house, scope="agent", window="total", limit=100 * USD)
    session = await new_budget(house, scope="session", window="session", limit=100 * USD)
    named = ((house.meter.pk, ""), (house.budget.pk, ""), (total.pk, ""), (session.pk, "run"))
    today = datetime(2026, 6, 10, 12, tzinfo=UTC)
    with movable_clock(house, Random(1)):
        for moment in (today, today + timedelta(hours=1), today + timedelta(days=1)):
            at_moment(house, moment)
            await spend(ledger, ask_at(house, moment, USD, budgets=named, start=CallStart(session="run")))
            house.sql("SELECT ledger_reset_session(%s, 'run', false)", house.agent.pk)
        for budget, windows in ((total, [3]), (session, [1, 1, 1]), (house.budget, [2, 1])):
            spent = house.sql("SELECT spent FROM balance WHERE budget_id = %s ORDER BY window_start, id", budget.pk)
            assert spent == [(count * USD,) for count in windows]
        assert house.sql("SELECT count(*), sum(cost_pico)::bigint FROM call") == [(3, 3 * USD)]
