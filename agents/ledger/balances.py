"""The open balances that a process knows, so that most asks name them without a look-up (rule 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agents.ledger.groups import Group
from agents.ledger.statement import Statement
from agents.ledger.terms import Ask, BudgetFacts, limit_under
from agents.ledger.wire import array, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

OPEN = Statement(
    "ledger_open_balances",
    """
SELECT o.balance_id, o.window_start, o.window_end, b.scope, b.scope_name, b.unit, b."window", b.mode
FROM unnest($1::bigint[]) WITH ORDINALITY AS w(budget, place)
LEFT JOIN ledger_open_balances($1::bigint[], $2::text[], $3::boolean[]) o ON o.place = w.place
LEFT JOIN budget b ON b.id = w.budget
ORDER BY w.place
""",
)

# Beyond this many the memory starts over; each costs about half a kilobyte.
REMEMBERED_MAX = 50_000

type Name = tuple[int, str, bool]  # budget, subject, practice


@dataclass(slots=True, eq=False)
class OpenBalance:
    """One balance: what never changes, and its amounts as the last flush saw them."""

    id: int
    budget_id: int
    subject: str
    practice: bool
    scope: str
    scope_name: str
    unit: str
    window: str
    mode: str
    window_start: datetime
    window_end: datetime | None
    limit: int | None = None
    spent: int = 0
    held: int = 0
    room_at: datetime | None = None  # of a rolling budget: when its oldest amount leaves it
    full_until: float = 0.0  # event-loop time until which a refusal may be repeated from memory

    def facts(self, limit: int | None, spent: int, held: int) -> BudgetFacts:
        """Return the facts of this balance with the given amounts, in its unit."""
        return BudgetFacts(
            budget_id=self.budget_id,
            scope=self.scope,
            scope_name=self.scope_name,
            unit=self.unit,
            window=self.window,
            mode=self.mode,
            subject=self.subject,
            limit=limit,
            spent=spent,
            held=held,
            window_start=self.window_start,
            window_end=self.window_end or self.room_at,
        )

    def limit_under(self, cap: int | None) -> int | None:
        """Return what an ask with a limit of its own may reach."""
        return limit_under(self.limit, self.mode, cap)

    def asked(self, ask: Ask) -> int:
        """Return the ask's amount in this balance's unit."""
        return ask.usd_pico if self.unit == "usd" else ask.tokens if self.unit == "tokens" else 1


class KnownBalances:
    """Balances by name, groups by what their asks have in common."""

    def __init__(self) -> None:
        self._balances: dict[Name, OpenBalance] = {}
        self._groups: dict[tuple[object, ...], Group] = {}

    def group_of(self, ask: Ask) -> Group | None:
        """Return the group of an ask, None while one of its balances is unknown."""
        key = (ask.agent_id, ask.budgets, ask.agent_version, ask.organization_version, ask.practice, ask.caps)
        group = self._groups.get(key)
        if group is None and not self.missing(ask):
            balances = tuple(self._balances[*budget, ask.practice] for budget in dict.fromkeys(ask.budgets))
            if len(self._groups) > REMEMBERED_MAX:
                self._groups.clear()
            group = self._groups[key] = Group(ask, balances)
        return group

    def missing(self, ask: Ask) -> list[Name]:
        """Return the names of an ask's balances that are not open here."""
        return [(*budget, ask.practice) for budget in ask.budgets if (*budget, ask.practice) not in self._balances]

    def learn(self, names: Sequence[Name], rows: Iterable[tuple[Any, ...]]) -> None:
        """Remember the answer of OPEN; names that it could not open stay missing."""
        if len(self._balances) > REMEMBERED_MAX:
            self.forget()
        for name, (identifier, start, end, scope, scope_name, unit, window, mode) in zip(names, rows, strict=True):
            if identifier is not None:
                self._balances[name] = OpenBalance(identifier, *name, scope, scope_name, unit, window, mode, start, end)

    def forget(self, balances: Iterable[OpenBalance] | None = None) -> None:
        """Drop balances whose window is over, or all, together with the groups that use them."""
        if balances is None:
            self._balances.clear()
        for balance in balances or ():
            self._balances.pop((balance.budget_id, balance.subject, balance.practice), None)
        self._groups.clear()


def open_parameters(names: Sequence[Name]) -> list[str]:
    """Return the parameters of OPEN: budgets, subjects, whether for practice."""
    return [
        array(name[0] for name in names),
        array(quoted(name[1]) for name in names),
        array(name[2] for name in names),
    ]
