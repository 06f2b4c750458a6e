"""10,000 random steps through budgets, edits, windows and clocks, and mutants that such a walk must notice."""

import secrets

import pytest

from tests.agents.conftest import house
from tests.agents.ledger_house import House, in_thread
from tests.agents.ledger_walk import walk

__all__ = ["house"]

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = 10_000
MUTANT_SEEDS, MUTANT_STEPS = range(8), 400

# The function, what it says, what it would say.
MUTANTS = {
    "a rolling budget forgets its oldest hours": ("ledger_rolling", "> p_at - interval '25", "> p_at - interval '20"),
    "hours are not counted": ("ledger_roll", "WHERE c.call_id =", "WHERE false AND c.call_id ="),
    "a new budget starts from nothing": ("ledger_charged", "sum(ledger_amount(", "0 * sum(ledger_amount("),
    "running calls do not join a new budget": ("ledger_seed", "WHERE r.organ", "WHERE false AND r.organ"),
    "a reset session starts with its past": ("ledger_siblings", "ORDER BY o.window_start DESC LIMIT 9", "LIMIT 0"),
    "a correction forgets budgets that were seeded": ("ledger_counting", "b.opened_at > p_first.ended_at", "false"),
    "a budget per user counts everybody": ("ledger_concerns", "WHEN 'user' THEN ", "WHEN 'user' THEN true OR "),
    "a correction is charged twice": ("ledger_amend", "0, 0, 0, fix.cost_pico", "0, 0, 0, 2 * fix.cost_pico"),
    "a top-up stays for ever": ("ledger_open_balances", "span.window_end, 0, 0, 0, t)", "NULL, 0, 0, 0, t)"),
}


async def test_no_walk_of_10000_steps_passes_a_limit_or_loses_a_pico(house: House) -> None:
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    taken = await walk(house, seed, steps=STEPS)
    print(f"{taken.admitted_count} admitted, {taken.refused_count} refused")


@pytest.mark.parametrize("name", MUTANTS)
async def test_the_walk_notices_mutants_of_the_functions(house: House, name: str) -> None:
    function, right, wrong = MUTANTS[name]
    [(original,)] = house.sql("SELECT pg_get_functiondef(%s::regproc)", function)
    assert right in original, f"{function} no longer says {right!r}"
    house.sql(original.replace(right, wrong).replace("%", "%%"))

    async def walks() -> None:
        for seed in MUTANT_SEEDS:
            await walk(await in_thread(House), seed, steps=MUTANT_STEPS)

    try:
        with pytest.raises(BaseException):  # noqa: B017 (any difference will do)
            await walks()
    finally:
        house.sql(original.replace("%", "%%"))
