"""What a budget may be: every scope, unit, window and mode of product.md B1, checked before anything is written."""

from __future__ import annotations

from dataclasses import dataclass

from agents.models import Mode, Scope, Unit, Window
from agents.money import AMOUNT_MAX_USD, PICO_PER_USD

COUNT_MAX = 10**15  # tokens or calls
NAME_BYTES_MAX = 128

# Scopes that exist only within an agent; a budget per user or session may also span the organisation.
_WITHIN_AGENT = frozenset({Scope.AGENT, Scope.SUB_AGENT, Scope.MODEL, Scope.AGENT_USER})
_ACROSS = frozenset({Scope.ORGANIZATION, Scope.USER})
_NAMED = frozenset({Scope.SUB_AGENT, Scope.MODEL, Scope.USER, Scope.SESSION, Scope.AGENT_USER})
_UNITS = frozenset({Unit.USD, Unit.TOKENS, Unit.CALLS})


class BadBudget(ValueError):
    """These terms make no budget. field: the one at fault; problem: a sentence for who wrote it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetTerms:
    """A budget as somebody asks for it.

    limit: in the unit (pico-dollars, tokens, calls); None counts without refusing.
    scope_name: the one model, user, session or sub-agent that is meant; empty for each of them.
    thresholds: shares of the limit in per cent at which to alert.
    """

    scope: str
    unit: str = Unit.USD
    window: str = Window.DAY
    mode: str = Mode.HARD
    limit: int | None = None
    scope_name: str = ""
    thresholds: tuple[int, ...] = (50, 80, 100)

    def check(self, *, within_agent: bool) -> None:
        """Raise BadBudget for what cannot be; within_agent: the budget is an agent's and not the organisation's own."""
        _choice("scope", self.scope, Scope.values)
        _choice("unit", self.unit, _UNITS)
        _choice("window", self.window, Window.values)
        _choice("mode", self.mode, Mode.values)
        if self.scope in (_ACROSS if within_agent else _WITHIN_AGENT):
            whose = "the organisation, not of one agent" if within_agent else "an agent"
            raise BadBudget("scope", f"A budget per {Scope(self.scope).label.lower()} is one of {whose}.")
        if self.window == Window.SESSION and self.scope != Scope.SESSION:
            raise BadBudget("window", "Only a budget per session can last as long as its session.")
        check_limit(self.unit, self.limit)
        _check_name(self.scope, self.scope_name)
        check_thresholds(self.thresholds)


def check_limit(unit: str, limit: int | None) -> None:
    """Raise BadBudget for a limit that is no amount of the unit or cannot be held."""
    if limit is None:
        return
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise BadBudget("limit", "The limit must be a whole number of the unit.")
    if limit < 0:
        raise BadBudget("limit", "The limit must not be negative.")
    limit_max = AMOUNT_MAX_USD * PICO_PER_USD if unit == Unit.USD else COUNT_MAX
    if limit > limit_max:
        shown = f"{AMOUNT_MAX_USD:,} dollars" if unit == Unit.USD else f"{COUNT_MAX:,}"
        raise BadBudget("limit", f"The limit is larger than {shown}.")


def check_thresholds(thresholds: tuple[int, ...]) -> None:
    """Raise BadBudget for thresholds that are not one to five rising shares from 1 to 100 %."""
    if not 1 <= len(thresholds) <= 5 or any(not 1 <= share <= 100 for share in thresholds):
        raise BadBudget("thresholds", "Give one to five shares between 1 and 100 per cent.")
    if sorted(set(thresholds)) != list(thresholds):
        raise BadBudget("thresholds", "The shares must rise.")


def _choice(field: str, value: str, allowed: object) -> None:
    assert isinstance(allowed, list | frozenset)
    if value not in allowed:
        raise BadBudget(field, f"Choose one of {', '.join(sorted(map(str, allowed)))}.")


def _check_name(scope: str, name: str) -> None:
    if name and scope not in _NAMED:
        raise BadBudget("scope_name", f"A budget per {Scope(scope).label.lower()} is not for one of several.")
    if len(name.encode()) > NAME_BYTES_MAX or not name.isprintable():
        raise BadBudget("scope_name", f"Use at most {NAME_BYTES_MAX} bytes, all of them visible.")
