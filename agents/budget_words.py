"""Budgets in words, one sentence for every scope, unit, window and mode (product.md B1). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from agents.money import usd_display, usd_full

if TYPE_CHECKING:
    from collections.abc import Sequence

_EACH = {"session": "session", "user": "user", "agent_user": "user", "model": "model", "sub_agent": "sub-agent"}
_WHEN = {"day": "a day", "week": "a week", "month": "a month", "rolling_24h": "in any 24 hours", "total": "in all"}
_CALENDAR = ("day", "week", "month")
_UNITS = {"usd": "dollars", "tokens": "tokens", "calls": "calls", "parallel": "calls at a time"}
_ONE = {"tokens": "1 token", "calls": "1 call", "parallel": "1 call at a time"}


class Described(Protocol):
    """A budget as far as this page cares: agents.models.Budget, or its terms."""

    @property
    def scope(self) -> str: ...

    @property
    def scope_name(self) -> str: ...

    @property
    def unit(self) -> str: ...

    @property
    def window(self) -> str: ...

    @property
    def mode(self) -> str: ...

    @property
    def limit(self) -> int | None: ...


def summary(*budgets: Described) -> str:
    """What budgets that differ only in unit and limit allow together: "at most $2.00 and 40 calls per session"."""
    first, where = budgets[0], place(budgets[0])
    if first.limit is None:
        return f"unlimited {' and '.join(unit_words(budget.unit) for budget in budgets)} {where}, only counted".strip()
    allowed = f"{' and '.join(limit(budget) for budget in budgets)} {where}".strip()
    if first.mode == "soft":
        return f"an alert at {allowed}, nothing is refused"
    return f"at most {allowed}{_nothing(budgets)}"


def phrase(budget: Described) -> str:
    """A limit and what it is for, as part of a sentence: "$100.00 a day"."""
    return f"{limit(budget)} {place(budget)}".strip()


def place(budget: Described) -> str:
    """What and when a budget counts: "a day", "per user and day", "in all for the model gpt-4o"."""
    each, when = _EACH.get(budget.scope, ""), _WHEN.get(budget.window, "")
    if budget.unit == "parallel":
        return ""
    if not each:
        return when
    if budget.scope_name:
        return f"{when} for the {each} {budget.scope_name}".strip()
    joined = f"and {budget.window}" if budget.window in _CALENDAR else when
    return f"per {each} {joined}".strip()


def limit(budget: Described) -> str:
    """A limit with every digit: "$2.00", "12,000 tokens", "1 call"."""
    assert budget.limit is not None, "the budget has a limit"
    return usd_full(budget.limit) if budget.unit == "usd" else amount(budget.unit, budget.limit)


def amount(unit: str, value: int) -> str:
    """An amount of a unit for people: "$4.87", "12,000 tokens", "1 call".

    value: in the unit: pico-dollars, tokens or calls.
    """
    if unit == "usd":
        return usd_display(value)
    return _ONE[unit] if value == 1 else f"{value:,} {_UNITS[unit]}"


def unit_words(unit: str) -> str:
    """A unit in the plural: "dollars", "calls"."""
    return _UNITS[unit]


def _nothing(budgets: Sequence[Described]) -> str:
    zeros = [budget.unit for budget in budgets if budget.limit == 0]
    if not zeros:
        return ""
    return ": nothing paid passes" if zeros == ["usd"] else ": nothing passes"
