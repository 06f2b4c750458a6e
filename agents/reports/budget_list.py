"""Every budget of an agent or of the organisation: what it allows, and how the running window stands."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from django.db.models import Q

from agents.budget_words import amount, summary
from agents.models import Balance, Budget, Mode, Scope, Unit, Window
from agents.reports.rolling import rolling
from agents.windows import window_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from django.db.models import QuerySet

    from accounts.models import Organization
    from agents.models import Agent
    from agents.reports.rolling import Rolling

_SCOPES = list(Scope.values)
_WINDOWS = [Window.DAY, Window.ROLLING, Window.WEEK, Window.MONTH, Window.TOTAL, Window.SESSION]
_UNITS = list(Unit.values)
_ALL_OF_IT = (Scope.ORGANIZATION, Scope.AGENT)


@dataclass(frozen=True, slots=True)
class BudgetStanding:
    """A budget and its running window; amounts in the budget's unit.

    One per session, user, model or sub-agent has a window for each of them: then nothing is spent here.
    resets_at: the end of the window; of a rolling day, when its oldest hour leaves.
    """

    budget: Budget
    spent: int = 0
    held: int = 0
    extra: int = 0
    resets_at: datetime | None = None

    @property
    def has_window(self) -> bool:
        """Whether all that counts stands in one window, which a bar can show."""
        return not has_subjects(self.budget)

    @property
    def limit(self) -> int | None:
        """What the running window may spend, its top-up included."""
        return None if self.budget.limit is None else self.budget.limit + self.extra

    @property
    def available(self) -> int | None:
        return None if self.limit is None else max(0, self.limit - self.spent - self.held)

    @property
    def may_be_topped_up(self) -> bool:
        """Whether there is a limit, one window for it, and an end at which more is gone again."""
        ends = self.budget.window in (Window.DAY, Window.WEEK, Window.MONTH)
        return self.has_window and ends and self.budget.limit is not None

    @property
    def tone(self) -> str:
        """The colour of a bar: bad once the limit is reached, and refuses."""
        over = self.limit is not None and self.spent >= self.limit
        return "bad" if over and self.budget.mode == Mode.HARD else ""

    @property
    def spoken(self) -> str:
        """The bar in words, for those who cannot see it."""
        unit = self.budget.unit
        of = "without a limit" if self.limit is None else f"of {amount(unit, self.limit)}"
        held = f", {amount(unit, self.held)} held" if self.held else ""
        return f"{amount(unit, self.spent)} {of} spent{held}"


@dataclass(frozen=True, slots=True)
class BudgetGroup:
    """Budgets that differ only in their unit: one row of the list."""

    standings: list[BudgetStanding]

    @property
    def first(self) -> BudgetStanding:
        return self.standings[0]

    @property
    def is_unlimited(self) -> bool:
        return self.first.budget.limit is None

    @property
    def has_bar(self) -> bool:
        return self.first.has_window and not self.is_unlimited

    @property
    def is_daily(self) -> bool:
        """Whether it is the agent's dollars of the day alone, which its page shows by themselves."""
        budget = self.first.budget
        return len(self.standings) == 1 and (budget.scope, budget.window, budget.unit) == (
            Scope.AGENT, Window.DAY, Unit.USD,
        )  # fmt: skip

    @property
    def summary(self) -> str:
        return summary(*(standing.budget for standing in self.standings))


def budget_groups(organization: Organization, agent: Agent | None, at: datetime) -> list[BudgetGroup]:
    """Every live budget of an agent, or the organisation's own where that is None, in the order of a page."""
    found = live_budgets(organization).filter(agent=agent)
    ordered = sorted(found, key=lambda budget: (*_alike(budget), _UNITS.index(budget.unit)))
    standings = budget_standings(organization, ordered, at)
    return [BudgetGroup(list(rows)) for _, rows in groupby(standings, key=lambda row: _alike(row.budget))]


def live_budgets(organization: Organization) -> QuerySet[Budget]:
    """What people call budgets: calls at a time are a guard, though the ledger holds them alike."""
    return Budget.objects.filter(organization=organization, ended_at=None).exclude(unit=Unit.PARALLEL)


def budget_standings(organization: Organization, budgets: Sequence[Budget], at: datetime) -> list[BudgetStanding]:
    """How budgets of one organisation stand, in as many queries however many they are."""
    single = [budget.pk for budget in budgets if not has_subjects(budget)]
    running = Balance.objects.filter(
        Q(window_end=None) | Q(window_end__gt=at), budget__in=single, subject="", practice=False, window_start__lte=at
    )
    balances = {balance.budget_id: balance for balance in running.order_by("window_start")}
    rolls = rolling([balances[b.pk].pk for b in budgets if b.window == Window.ROLLING and b.pk in balances], at)
    return [_standing(organization, budget, balances.get(budget.pk), rolls, at) for budget in budgets]


def used_up(organization: Organization, at: datetime) -> set[UUID | None]:
    """The agents of whom a hard budget has nothing left, beside their dollars of the day; None: the organisation's."""
    limited = live_budgets(organization).filter(mode=Mode.HARD, limit__isnull=False, scope__in=_ALL_OF_IT)
    budgets = list(limited.exclude(scope=Scope.AGENT, unit=Unit.USD, window=Window.DAY))
    standings = budget_standings(organization, budgets, at)
    return {row.budget.agent_id for row in standings if row.limit is not None and row.spent >= row.limit}


def has_subjects(budget: Budget) -> bool:
    """Whether a budget is for each of several sessions, users, models or sub-agents."""
    return budget.scope not in _ALL_OF_IT and not budget.scope_name


def _standing(
    organization: Organization, budget: Budget, balance: Balance | None, rolls: Mapping[int, Rolling], at: datetime
) -> BudgetStanding:
    if budget.window == Window.ROLLING:
        if balance is None:
            return BudgetStanding(budget)
        roll = rolls[balance.pk]
        return BudgetStanding(budget, roll.spent, balance.held, resets_at=roll.room_at)
    if balance is None:
        return BudgetStanding(budget, resets_at=window_of(budget.window, organization.time_zone, at).end)
    return BudgetStanding(budget, balance.spent, balance.held, balance.extra, balance.window_end)


def _alike(budget: Budget) -> tuple[object, ...]:
    """What budgets of one row have in common, in the order of the list: those that refuse first."""
    return (
        budget.limit is None,
        _SCOPES.index(budget.scope),
        budget.scope_name,
        _WINDOWS.index(Window(budget.window)),
        budget.mode,
    )
