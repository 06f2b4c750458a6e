"""Tells each caller of a flush what the database decided."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from agents.ledger.errors import AlreadyEnded, BudgetRefused, LedgerError, Stale
from agents.ledger.reservation import Reservation

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from agents.ledger.balances import KnownBalances, OpenBalance
    from agents.ledger.waiting import WaitingAsk, WaitingEnd

logger = logging.getLogger(__name__)

ADMITTED, ADMITTED_BEFORE, STALE, WINDOW_OVER, REFUSED, ENDED, OTHER_DAY = range(7)
REPEAT_SECONDS = 0.25
WINDOWS_MAX = 5


def give_answers(
    answer: tuple[Any, ...],
    known: KnownBalances,
    balances: tuple[OpenBalance, ...],
    ends: list[WaitingEnd],
    asks: list[WaitingAsk],
    withdraw: Callable[[WaitingAsk], None],
) -> list[WaitingAsk]:
    """Wake the callers and return the asks that must be sent again because a window was over.

    answer: the row of ledger_flush.
    withdraw: voids a hold that nobody waits for any more.
    """
    flushed_at, outcomes, codes, limits, spent, held, rooms, *refusals = answer
    _end(ends, outcomes or {})
    if not asks:
        return []
    _see(balances, limits, spent, held, rooms)
    again = []
    for number, waiting in enumerate(asks):
        code = ADMITTED if codes is None else codes[number]
        if code in (ADMITTED, ADMITTED_BEFORE):
            _admit(waiting, flushed_at, withdraw)
        elif code == WINDOW_OVER and waiting.attempts < WINDOWS_MAX:
            waiting.attempts += 1
            waiting.sent = False
            again.append(waiting)
        elif not waiting.future.done():
            place, spent_then, held_then = (column[number] for column in refusals) if code == REFUSED else (0, 0, 0)
            waiting.future.set_exception(_error(code, waiting, balances[place - 1], spent_then, held_then))
    if again:
        # One of a group's windows is over, or was purged after it; opening all of them again is simple and rare.
        known.forget({balance for waiting in again if waiting.group for balance in waiting.group.balances})
    return again


def _end(ends: list[WaitingEnd], outcomes: dict[str, str]) -> None:
    for end in ends:
        outcome = outcomes.get(str(end.call_id)) if outcomes else None
        if outcome in ("conflict", "unknown"):
            logger.error("Ending of call %s: %s (%s)", end.call_id, outcome, end.row.get("cost_pico", 0))
        if not end.future.done():
            end.future.set_result(outcome or end.row["status"])


def _see(
    balances: tuple[OpenBalance, ...],
    limits: list[int | None],
    spent: list[int],
    held: list[int],
    rooms: list[datetime | None],
) -> None:
    for balance, limit, spent_now, held_now, room_at in zip(balances, limits, spent, held, rooms, strict=True):
        balance.limit, balance.spent, balance.held, balance.room_at = limit, spent_now or 0, held_now or 0, room_at


def _admit(waiting: WaitingAsk, at: datetime, withdraw: Callable[[WaitingAsk], None]) -> None:
    if waiting.future.done():
        withdraw(waiting)
        return
    assert waiting.group is not None, "an ask was sent without its balances"
    balances, caps = waiting.group.balances, waiting.group.caps
    amounts = [
        (balance.limit_under(caps[balance.budget_id]) if balance.budget_id in caps else balance.limit,
         balance.spent, balance.held)
        for balance in balances
    ]  # fmt: skip
    waiting.future.set_result(Reservation(waiting.ask.call_id, at, balances, amounts))


def _refused(waiting: WaitingAsk, balance: OpenBalance, spent: int, held: int) -> BudgetRefused:
    """The refusal by one balance; one of the balance's own limit may be repeated from memory for a moment."""
    asked = balance.asked(waiting.ask)
    cap = waiting.group.caps.get(balance.budget_id) if waiting.group else None
    limit = balance.limit_under(cap)
    if held == 0 and balance.held == 0 and balance.mode == "hard" and limit == balance.limit:
        balance.full_until = asyncio.get_running_loop().time() + REPEAT_SECONDS
    return BudgetRefused(balance.facts(limit, spent, held), asked, by_cap=cap is not None and limit == cap)


def _error(code: int, waiting: WaitingAsk, balance: OpenBalance, spent: int, held: int) -> LedgerError:
    if code == REFUSED:
        return _refused(waiting, balance, spent, held)
    if code == ENDED:
        return AlreadyEnded(waiting.ask.call_id)
    if code == OTHER_DAY:
        return LedgerError(f"the clock of call id {waiting.ask.call_id} is more than a day off")
    return Stale()
