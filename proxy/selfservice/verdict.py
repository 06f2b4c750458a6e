"""What admission would say to a plan while the budgets stand as they do: its own steps, with nothing held."""

from collections.abc import Sequence
from dataclasses import replace

from agents.ledger import BudgetFacts, BudgetRefused, RefusalKind, limit_under
from proxy.admission import SHRINKING_UNITS, SHRINKS_MAX, Narrow, after_refusal, caps_of, refusal_of
from proxy.errors import Refusal
from proxy.names import Names
from proxy.planning import Plan

_LEAST_HOPE = (RefusalKind.TOO_EXPENSIVE, RefusalKind.EXCEEDED, RefusalKind.HELD_IN_FLIGHT)


async def verdict_on(
    plan: Plan, names: Names, balances: Sequence[BudgetFacts], *, narrow: Narrow
) -> tuple[Plan, Refusal | None]:
    """The plan as it would be held, or as it would be refused at last and why.

    balances: how every budget stands that the call counts against.
    """
    caps = dict(caps_of(plan.caller, names))
    for attempt in range(SHRINKS_MAX + 1):
        refused = _refused(plan, balances, caps)
        if refused is None:
            return plan, None
        plan, again = await after_refusal(plan, refused, attempt=attempt, narrow=narrow)
        if not again:
            return plan, refusal_of(plan, names, refused)
    raise AssertionError("the last attempt returns")


def _refused(plan: Plan, balances: Sequence[BudgetFacts], caps: dict[int, int]) -> BudgetRefused | None:
    """The refusal that the ledger would name: the one that leaves least hope (ledger_admit_in_order)."""
    one_by_one = [_refused_by(facts, plan, caps.get(facts.budget_id)) for facts in balances]
    return min((refused for refused in one_by_one if refused is not None), key=_hope, default=None)


def _refused_by(facts: BudgetFacts, plan: Plan, cap: int | None) -> BudgetRefused | None:
    """cap: the limit that the call brings for this budget; it holds also where the budget's own only alerts."""
    limit = limit_under(facts.limit, facts.mode, cap)
    asked = plan.most_of(facts.unit) if facts.unit in SHRINKING_UNITS else 1
    if limit is None or asked <= limit - facts.spent - facts.held:
        return None
    return BudgetRefused(replace(facts, limit=limit), asked, by_cap=limit == cap)


def _hope(refused: BudgetRefused) -> tuple[int, float, int]:
    """Equal shares are told apart by age, so that the answer is the same each time."""
    facts = refused.facts
    share = float(facts.available or 0) / float(max(refused.asked, 1))
    return _LEAST_HOPE.index(refused.kind), share, facts.budget_id
