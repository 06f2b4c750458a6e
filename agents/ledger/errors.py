"""Why the ledger did not hold an amount: small exceptions that carry the facts. Sentences live in proxy.errors."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from agents.ledger.terms import BudgetFacts


class LedgerError(Exception):
    """Nothing is held."""


class LedgerAway(LedgerError):
    """PostgreSQL cannot be reached or is too slow: nothing may be forwarded."""


class LedgerOverloaded(LedgerError):
    """More asks are waiting than the ledger accepts."""


class Stale(LedgerError):
    """Agent, organisation or budgets are no longer as the caller saw them: reload and ask again."""


class TooManySubjects(LedgerError):
    """A budget per session, user or model met too many new ones within the hour."""

    def __init__(self, budget_id: int) -> None:
        super().__init__(f"budget {budget_id}")
        self.budget_id = budget_id


class AlreadyEnded(LedgerError):
    """The call is in the book already, or its id was used for another one."""

    def __init__(self, call_id: UUID) -> None:
        super().__init__(str(call_id))
        self.call_id = call_id


class RefusalKind(StrEnum):
    """The reasons of product.md W9 that a budget gives."""

    TOO_EXPENSIVE = "call_too_expensive"
    EXCEEDED = "budget_exceeded"
    HELD_IN_FLIGHT = "held_in_flight"


class BudgetRefused(LedgerError):
    """A hard budget has no room for the amount.

    facts: the budget as it was when it decided.
    asked: the amount in the budget's unit.
    by_cap: it was the call's own limit that decided.
    """

    def __init__(self, facts: BudgetFacts, asked: int, *, by_cap: bool = False) -> None:
        super().__init__(facts, asked)
        self.facts = facts
        self.asked = asked
        self.by_cap = by_cap

    def __str__(self) -> str:
        return f"budget {self.facts.budget_id}: asked {self.asked}, available {self.facts.available}"

    @property
    def kind(self) -> RefusalKind:
        """What would help: less, the next window, or a moment's patience."""
        limit = self.facts.limit
        assert limit is not None, "only a limit refuses"
        if self.asked > limit:
            return RefusalKind.TOO_EXPENSIVE
        if self.facts.spent + self.asked > limit:
            return RefusalKind.EXCEEDED
        return RefusalKind.HELD_IN_FLIGHT

    @property
    def available(self) -> int:
        """What is left in the budget's unit, never below zero."""
        return max(0, self.facts.available or 0)

    @property
    def resets_at(self) -> datetime | None:
        return self.facts.window_end
