"""The receipt of an admitted call."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from agents.ledger.balances import OpenBalance
    from agents.ledger.terms import BudgetFacts

type Amounts = tuple[int | None, int, int]  # limit, spent, held


class Reservation:
    """A hold on all budgets of a call. It has exactly one ending: settled, voided or expired.

    reserved_at: by the database's clock; decides the window.
    """

    __slots__ = ("_amounts", "_balances", "call_id", "reserved_at")

    def __init__(
        self, call_id: UUID, reserved_at: datetime, balances: tuple[OpenBalance, ...], amounts: list[Amounts]
    ) -> None:
        self.call_id = call_id
        self.reserved_at = reserved_at
        self._balances = balances
        self._amounts = amounts

    @property
    def budgets(self) -> tuple[BudgetFacts, ...]:
        """The budgets as they were right after this hold."""
        return tuple(balance.facts(*amounts) for balance, amounts in zip(self._balances, self._amounts, strict=True))

    @property
    def tightest(self) -> BudgetFacts | None:
        """The hard dollar budget that has least left; None when all are unlimited."""
        limited = [
            (limit - spent - held, place)
            for place, (limit, spent, held) in enumerate(self._amounts)
            if limit is not None and self._balances[place].unit == "usd" and self._balances[place].mode == "hard"
        ]
        if not limited:
            return None
        _, place = min(limited)
        return self._balances[place].facts(*self._amounts[place])
