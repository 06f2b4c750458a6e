"""The second stage of the input bound: a count where the bound by bytes does not fit (docs/pricing.md)."""

from collections.abc import Callable

from agents.ledger import BudgetFacts
from proxy import planning, tokenizers
from proxy.errors import CallTooExpensive
from proxy.planning import Plan
from proxy.process import Process


async def narrow(process: Process, plan: Plan, facts: BudgetFacts) -> Plan | None:
    """The plan with its text counted; None where counting is not possible or would not help.

    facts: of the budget that refused the plan.
    """
    return await _counted(process, plan, lambda least: _fits_budget(least, facts))


async def within_limits(process: Process, plan: Plan) -> Plan:
    """The plan under what its agent may take for one call, counted where it does not fit by its bytes.

    Raises CallTooExpensive.
    """
    try:
        return planning.within_limits(plan)
    except CallTooExpensive:
        counted = await _counted(process, plan, _fits_call)
        if counted is None:
            raise
        return planning.within_limits(counted)


async def _counted(process: Process, plan: Plan, fits: Callable[[Plan], bool]) -> Plan | None:
    target = plan.target
    encoding = tokenizers.encoding_of(target.provider, target.model)
    # The sandbox that answers practice calls has a tokenizer of its own.
    if encoding is None or plan.caller.practice or not process.prices.may_count(target.provider, plan.priced_model):
        return None
    # Would the call fit without any text? A flood of refused calls must not cost a count each.
    if plan.counted or not fits(plan.with_counted(0).least):
        return None
    tokens = await process.counter.tokens_of(plan.request, encoding, len(plan.outgoing.body))
    if tokens is None:
        return None
    counted = plan.with_counted(tokens)
    return counted if counted.bound.input_tokens < plan.bound.input_tokens else None


def _fits_budget(least: Plan, facts: BudgetFacts) -> bool:
    if facts.unit not in ("usd", "tokens") or facts.available is None:
        return False
    return least.most_of(facts.unit) <= facts.available


def _fits_call(least: Plan) -> bool:
    try:
        planning.within_limits(least)
    except CallTooExpensive:
        return False
    return True
