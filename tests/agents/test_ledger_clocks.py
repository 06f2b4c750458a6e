"""Whose clock decides, and whose memory: the database's alone."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from agents.ledger import BudgetRefused, CallEnd, Ledger
from tests.agents.ledger_house import USD, House, in_thread

pytestmark = pytest.mark.django_db(transaction=True)

SKEW_MINUTES = [-10, 10]


@pytest.fixture(params=SKEW_MINUTES, ids=lambda minutes: f"{minutes:+d}min")
def wrong_clock(request: pytest.FixtureRequest) -> Iterator[timedelta]:
    """This process's clock is wrong; the database's is right."""
    skew = timedelta(minutes=request.param)
    with time_machine.travel(datetime.now(UTC) + skew, tick=True):
        yield skew


async def test_a_wrong_clock_reserves_by_the_databases(house: House, ledger: Ledger, wrong_clock: timedelta) -> None:
    """Row 13 of docs/reliability.md: times, deadline, window and room are the database's."""
    ask = house.ask(4 * USD)
    reservation = await ledger.reserve(ask)
    [(off_seconds, deadline_seconds)] = house.sql(
        "SELECT extract(epoch FROM clock_timestamp() - reserved_at), extract(epoch FROM deadline_at - reserved_at)"
        " FROM reservation"
    )
    assert 0 <= off_seconds < 5
    assert deadline_seconds == ask.deadline_seconds
    assert abs(reservation.reserved_at - datetime.now(UTC) + wrong_clock) < timedelta(seconds=5)
    assert await ledger.settle(ask.call_id, CallEnd(cost_pico=7)) == "settled"
    [row] = house.book(ask.call_id)
    assert row["reserved_at"] <= row["ended_at"] < row["reserved_at"] + timedelta(seconds=5)


async def test_a_wrong_clock_neither_reaps_what_runs_nor_loses_its_own(
    house: House, ledger: Ledger, wrong_clock: timedelta
) -> None:
    """Row 13 of docs/reliability.md: a neighbour's lease of twenty seconds is not ten minutes over."""
    neighbour = Ledger()
    await neighbour.start()
    asks = [house.ask(1), house.ask(1)]
    await ledger.reserve(asks[0])
    await neighbour.reserve(asks[1])
    house.sql("UPDATE reservation SET deadline_at = clock_timestamp() - interval '1 second'")
    for one in (ledger, neighbour):
        await one.upkeep._renew_lease()
        assert await one.upkeep.reap(is_cautious=False) == []
    assert house.amounts() == (0, 2)
    await neighbour.stop()


async def test_windows_end_by_the_databases_clock(house: House, ledger: Ledger, wrong_clock: timedelta) -> None:
    """Row 13 of docs/reliability.md: a window that ends in five minutes is neither over nor forgotten."""
    await ledger.reserve(house.ask(5 * USD))
    house.sql("UPDATE balance SET window_end = clock_timestamp() + interval '5 minutes'")
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(1))
    house.sql("UPDATE balance SET window_end = clock_timestamp() - interval '1 second'")
    await asyncio.sleep(0.3)  # What this process remembers of a full budget holds for a quarter of a second.
    await ledger.reserve(house.ask(1))


async def test_a_process_that_remembers_nothing_decides_by_the_same_numbers(house: House, ledger: Ledger) -> None:
    """I5: a look-up that misses asks the one source, in every process."""
    ask = house.ask(3 * USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=3 * USD))
    newcomers = [Ledger() for _ in range(3)]
    for newcomer in newcomers:
        await newcomer.start()
        with pytest.raises(BudgetRefused) as refusal:
            await newcomer.reserve(house.ask(2 * USD + 1))
        assert (refusal.value.facts.spent, refusal.value.available) == (3 * USD, 2 * USD)
        facts = await newcomer.balances_of(house.budgets[::-1])
        assert facts[0].spent == 3 * USD
    answers = await asyncio.gather(*(one.reserve(house.ask(USD)) for one in newcomers), return_exceptions=True)
    assert sum(isinstance(answer, BudgetRefused) for answer in answers) == 1
    assert await in_thread(house.amounts) == (3 * USD, 2 * USD)
    for newcomer in newcomers:
        await newcomer.stop()
