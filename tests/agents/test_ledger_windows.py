"""Windows in the ledger: a call belongs to the window of its reserve; a window that is over is never used again."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest

from agents.ledger import BudgetRefused, CallEnd, Ledger, TooManySubjects
from tests.agents.ledger_house import USD, House, in_thread

pytestmark = pytest.mark.django_db(transaction=True)

OPEN = "SELECT balance_id, window_start, window_end FROM ledger_open_balances(%s, %s, %s, %s, %s)"


def end_windows(house: House) -> None:
    """Let all open windows have ended a second ago."""
    house.sql(
        "UPDATE balance SET window_end = clock_timestamp() - interval '1 second',"
        " window_start = window_start - interval '1 day'"
    )


async def test_after_the_window_a_new_balance_takes_over(house: House, ledger: Ledger) -> None:
    first = house.ask(5 * USD)
    await ledger.reserve(first)
    end_windows(house)
    await ledger.reserve(house.ask(4 * USD))
    assert house.sql("SELECT held FROM balance WHERE budget_id = %s ORDER BY id", house.budget.pk) == [
        (5 * USD,),
        (4 * USD,),
    ]


async def test_a_call_that_straddles_the_boundary_is_charged_to_the_window_of_its_reserve(
    house: House, ledger: Ledger
) -> None:
    """D10."""
    ask = house.ask(5 * USD)
    await ledger.reserve(ask)
    end_windows(house)
    await ledger.reserve(house.ask(1))
    await ledger.settle(ask.call_id, CallEnd(cost_pico=3))
    assert house.sql("SELECT spent, held FROM balance WHERE budget_id = %s ORDER BY id", house.budget.pk) == [
        (3, 0),
        (0, 1),
    ]


async def test_a_purged_balance_is_opened_again(house: House, ledger: Ledger) -> None:
    ask = house.ask(1)
    await ledger.reserve(ask)
    await ledger.void(ask.call_id, CallEnd())
    house.sql("DELETE FROM balance")
    await ledger.reserve(house.ask(2))
    assert house.amounts() == (0, 2)


async def test_a_change_of_zone_waits_for_the_end_of_the_old_window(house: House) -> None:
    noon = datetime(2026, 6, 10, 12, tzinfo=UTC)
    arguments = [house.budget.pk], [""], [False], 9
    [(old, start, end)] = house.sql(OPEN, *arguments, noon)
    house.sql("UPDATE organization SET time_zone = 'America/New_York'")
    assert house.sql(OPEN, *arguments, noon + timedelta(hours=11)) == [(old, start, end)]
    [(_, new_start, new_end)] = house.sql(OPEN, *arguments, end)
    assert new_start == end
    assert new_end == datetime(2026, 6, 11, 4, tzinfo=UTC)


async def test_windows_of_a_year_follow_each_other_without_gap_or_overlap(house: House) -> None:
    house.sql("UPDATE organization SET time_zone = 'Europe/Berlin'")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for _ in range(370):
        [(_, _, moment)] = house.sql(OPEN, [house.budget.pk], [""], [False], 9, moment)
    rows = house.sql("SELECT window_start, window_end FROM balance ORDER BY window_start")
    assert all(before[1] == after[0] for before, after in pairwise(rows))
    lengths = {(end - start).total_seconds() / 3600 for start, end in rows}
    assert lengths == {23.0, 24.0, 25.0}


async def test_creators_of_the_same_balances_neither_deadlock_nor_double(house: House) -> None:
    ids = [house.meter.pk, house.budget.pk]
    subjects = [f"s{number}" for number in range(20)]
    failures: list[Exception] = []

    def create(backwards: bool) -> None:
        names = [(budget, subject) for budget in ids for subject in subjects]
        names = names[::-1] if backwards else names
        columns = [name[0] for name in names], [name[1] for name in names], [False] * len(names)
        try:
            with house.transaction() as other:
                other.autocommit = True
                other.execute(OPEN, [*columns, 99, None])
        except psycopg.Error as error:
            failures.append(error)

    await asyncio.gather(*(asyncio.to_thread(create, bool(number % 2)) for number in range(8)))
    assert failures == []
    assert house.sql("SELECT count(*), count(DISTINCT (budget_id, subject)) FROM balance") == [(40, 40)]


async def test_a_flood_of_new_subjects_is_refused_never_left_uncounted(house: House, ledger: Ledger) -> None:
    house.sql("UPDATE budget SET scope = 'session' WHERE id = %s", house.budget.pk)
    names = [house.budget.pk] * 3, ["a", "b", "c"], [False] * 3
    assert [row[0] is None for row in house.sql(OPEN, *names, 2, None)] == [False, False, True]
    assert [row[0] is None for row in house.sql(OPEN, *names, 2, None)] == [False, False, True]
    house.sql(
        "INSERT INTO balance (budget_id, subject, practice, window_start, window_end, spent, held, seeded, opened_at)"
        " SELECT %s, 's' || n, false, now() - interval '1 h', now() + interval '1 h', 0, 0, 0, now()"
        " FROM generate_series(1, 10000) n",
        house.budget.pk,
    )
    with pytest.raises(TooManySubjects):
        await ledger.reserve(house.ask(1, budgets=((house.meter.pk, ""), (house.budget.pk, "new"))))


async def test_subjects_have_room_of_their_own(house: House, ledger: Ledger) -> None:
    house.sql("UPDATE budget SET scope = 'agent_user' WHERE id = %s", house.budget.pk)

    def ask(subject: str) -> object:
        return ledger.reserve(house.ask(3 * USD, budgets=((house.meter.pk, ""), (house.budget.pk, subject))))

    await ask("alice")
    await ask("bob")
    with pytest.raises(BudgetRefused) as refusal:
        await ask("bob")
    assert refusal.value.facts.subject == "bob"


async def test_budgets_by_week_month_and_for_ever_count_the_same_call(house: House, ledger: Ledger) -> None:
    others = [await in_thread(house.new_budget, window=w, limit=USD) for w in ("week", "month", "total")]
    ask = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=5))
    assert [house.amounts(budget) for budget in others] == [(5, 0)] * 3
