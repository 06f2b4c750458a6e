"""F3 at full size: 6,000 steps of the plain model against PostgreSQL, and mutants that it must catch."""

from collections.abc import Callable
from typing import Any

import pytest

from agents.ledger import batcher as batchers
from tests.agents.conftest import house
from tests.agents.ledger_house import House
from tests.agents.ledger_machine_runs import run_machine
from tests.agents.test_ledger_locks import test_processes_that_flush_the_same_rows_lose_nothing as crowd

__all__ = ["house"]

pytestmark = pytest.mark.django_db(transaction=True)

# What a tired person might write: the function, what it says, what it would say.
SQL_MUTANTS = {
    "one pico over is admitted": ("ledger_flush", "- more_held[n] >= asked[i]", "- more_held[n] + 1 >= asked[i]"),
    "held is ignored in the usual case": ("ledger_flush", "- helds[n]", "- 0"),
    "held is ignored near the limit": (
        "ledger_admit_in_order",
        "IF asked > bound - p_spent[n] - p_held[n] THEN",
        "IF asked > bound - p_spent[n] THEN",
    ),
    "endings of the flush make no room": ("ledger_admit_in_order", "p_held[i] + p_more_held[i]", "p_held[i]"),
    "endings of the flush cost nothing": ("ledger_admit_in_order", "p_spent[i] + p_more_spent[i]", "p_spent[i]"),
    "a window that is over is still used": ("ledger_flush", "coalesce(b.window_end <= flushed_at, false)", "false"),
    "unlimited means nothing": ("ledger_flush", "9223372036854775807", "0"),
    "tokens are counted in dollars": (
        "ledger_flush",
        "WHEN 'tokens' THEN d.held_tokens",
        "WHEN 'tokens' THEN d.held_usd",
    ),
    "a settle releases twice": ("ledger_settle_batch", "-held_usd", "-2 * held_usd"),
    "a settle releases nothing": ("ledger_settle_batch", "-held_usd", "0 * held_usd"),
    "a void counts a call": ("ledger_settle_batch", "(s.status <> 'voided')::int::smallint", "1::smallint"),
    "a late settle adds": ("ledger_settle_late", "late.cost_pico, late.tokens", "s.cost_pico, late.tokens"),
    "a late settle counts every time": ("ledger_settle_late", "reason = 'late_settle'", "reason = 'never'"),
    "a second ending is the same, whatever it says": (
        "ledger_settle_late",
        "first.status = s.status AND first.cost_pico = s.cost_pico",
        "first.status = s.status",
    ),
    "expiry returns the money": ("ledger_expire", "-1, (hold).usd_pico,", "-1, 0,"),
    "an ask does not recognise its own hold": (
        "ledger_codes_of_known",
        "WHEN r.call_id IS NULL",
        "WHEN r.call_id IS NULL OR p_codes[i.n] = 0",
    ),
    "reserve does not look in the book": ("ledger_ended", "call_id = ANY (p_ids) AND seq = 0", "false AND seq = 0"),
    "the refusal names any budget": (
        "ledger_admit_in_order",
        "OR hope < worst_hope OR (hope = worst_hope AND share < worst_share)",
        "OR true",
    ),
    "practice pays with real money": (
        "ledger_open_balances",
        "l.practice = w.practice\n            AND l.window_start",
        "NOT l.practice\n            AND l.window_start",
    ),
}


def _keep_last(take: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def mutant(self: Any) -> Any:
        self._ends.reverse()
        return take(self)

    return mutant


PYTHON_MUTANTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "an unanswered ask is not buried": ("_give_up", lambda _: lambda self, waiting: None),
    "a hold that nobody waits for is not voided": ("withdraw", lambda _: lambda self, waiting: None),
    "the last of two endings counts": ("_take", _keep_last),
}


def test_postgresql_agrees_with_the_model_in_6000_steps(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run_machine(monkeypatch, examples=120, steps=50)


@pytest.mark.parametrize("name", SQL_MUTANTS)
def test_the_model_catches_mutants_of_the_functions(house: House, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    function, right, wrong = SQL_MUTANTS[name]
    [(original,)] = house.sql("SELECT pg_get_functiondef(%s::regproc)", function)
    assert right in original, f"{function} no longer says {right!r}"
    house.sql(original.replace(right, wrong).replace("%", "%%"))
    try:
        with pytest.raises(BaseException):  # noqa: B017 (any difference will do)
            run_machine(monkeypatch, examples=120, steps=50, shrink=False)
    finally:
        house.sql(original.replace("%", "%%"))


@pytest.mark.parametrize("name", PYTHON_MUTANTS)
def test_the_model_catches_mutants_of_the_batcher(house: House, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    method, make = PYTHON_MUTANTS[name]
    monkeypatch.setattr(batchers.Batcher, method, make(getattr(batchers.Batcher, method)))
    with pytest.raises(BaseException):  # noqa: B017
        run_machine(monkeypatch, examples=120, steps=50, shrink=False)


async def test_the_crowd_catches_locks_without_order(house: House) -> None:
    [(original,)] = house.sql("SELECT pg_get_functiondef('ledger_flush'::regproc)")
    house.sql(
        original.replace("ORDER BY id FOR NO KEY UPDATE", "ORDER BY random() FOR NO KEY UPDATE").replace("%", "%%")
    )
    try:
        with pytest.raises((AssertionError, ValueError)):  # A flush was repeated, or a process gave up.
            await crowd(house)
    finally:
        house.sql(original.replace("%", "%%"))
