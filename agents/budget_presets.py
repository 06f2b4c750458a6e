"""The budgets that forms offer: eight of the many that can be made (product.md B1); the others are the API's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from agents import budgets
from agents.budget_terms import BadBudget, BudgetTerms
from agents.models import Budget, Scope, Unit, Window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.models import Organization, User
    from agents.models import Agent


@dataclass(frozen=True, slots=True)
class Preset:
    """A budget to fill in: with more than one unit, each has a limit of its own."""

    key: str
    title: str
    hint: str
    scope: str
    window: str
    units: tuple[str, ...] = (Unit.USD,)


AGENT_PRESETS = (
    Preset("day", "Per day", "Begins anew at midnight.", Scope.AGENT, Window.DAY),
    Preset("month", "Per month", "Begins anew on the first, beside what a day may cost.", Scope.AGENT, Window.MONTH),
    Preset("total", "In all", "Never begins anew: for a trial, or a job that ends.", Scope.AGENT, Window.TOTAL),
    Preset(
        "session", "Per session", "Each run or job by itself: calls name theirs in X-AWX-Session-ID, and those without "
        "one count together.", Scope.SESSION, Window.SESSION, (Unit.USD, Unit.CALLS),
    ),
    Preset(
        "user", "Per user and day", "Each of the people the agent works for: X-AWX-User-ID, or the user that the "
        "request names. Calls without one count together.", Scope.AGENT_USER, Window.DAY,
    ),
    Preset("model", "Per model and day", "Each model by itself, whatever calls name it.", Scope.MODEL, Window.DAY),
)  # fmt: skip

ORGANIZATION_PRESETS = (
    Preset("day", "Per day", "All agents together; begins anew at midnight.", Scope.ORGANIZATION, Window.DAY),
    Preset("month", "Per month", "All agents together; begins anew on the first.", Scope.ORGANIZATION, Window.MONTH),
)


def current(preset: Preset, organization: Organization, agent: Agent | None) -> dict[str, Budget]:
    """The live budgets that a preset means, by unit."""
    found = Budget.objects.filter(
        organization=organization, agent=agent, scope=preset.scope, scope_name="", window=preset.window,
        unit__in=preset.units, ended_at=None,
    )  # fmt: skip
    return {budget.unit: budget for budget in found}


def save(
    preset: Preset,
    organization: Organization,
    agent: Agent | None,
    limits: Mapping[str, int],
    *,
    mode: str,
    thresholds: tuple[int, ...],
    by: User | None,
) -> list[Budget]:
    """Make a preset's budgets; one that only counts, without a limit, gets it. Raises BadBudget.

    limits: by unit, in the unit.
    """
    try:
        with transaction.atomic():
            there = current(preset, organization, agent)
            made = []
            for unit, limit in limits.items():
                terms = BudgetTerms(
                    scope=preset.scope, unit=unit, window=preset.window, mode=mode, limit=limit, thresholds=thresholds
                )
                made.append(_save(terms, there.get(unit), organization, agent, by))
            return made
    except IntegrityError as error:  # Somebody else made the same one in this moment.
        raise BadBudget("limit", "There is such a budget already: change it in the list.") from error


def _save(
    terms: BudgetTerms, budget: Budget | None, organization: Organization, agent: Agent | None, by: User | None
) -> Budget:
    if budget is None:
        return budgets.create_budget(organization, agent, terms, by)
    if budget.limit is not None:
        raise BadBudget("limit", "There is such a budget already: change it in the list.")
    budgets.set_limit(budget, terms.limit, by)
    budgets.change_terms(budget, mode=terms.mode, thresholds=terms.thresholds, by=by)
    return budget
