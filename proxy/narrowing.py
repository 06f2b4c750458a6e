"""The second stage of the input bound: a count where the bound by bytes does not fit the budget (docs/pricing.md)."""

from agents.ledger import BudgetFacts
from proxy import tokenizers
from proxy.planning import Plan
from proxy.process import Process


async def narrow(process: Process, plan: Plan, facts: BudgetFacts) -> Plan | None:
    """The plan with its text counted; None where counting is not possible or would not help.

    facts: of the budget that refused the plan.
    """
    target = plan.target
    encoding = tokenizers.encoding_of(target.provider, target.model)
    # The sandbox that answers practice calls has a tokenizer of its own.
    if encoding is None or plan.caller.practice or not process.prices.may_count(target.provider, plan.priced_model):
        return None
    if not _may_fit(plan, facts):
        return None
    tokens = await process.counter.tokens_of(plan.request, encoding, len(plan.outgoing.body))
    if tokens is None:
        return None
    counted = plan.with_counted(tokens)
    return counted if counted.bound.input_tokens < plan.bound.input_tokens else None


def _may_fit(plan: Plan, facts: BudgetFacts) -> bool:
    """Whether the call would fit without any text: a flood of refused calls must not cost a count each."""
    least = plan.with_counted(0)
    if plan.added_cap:
        least = least.with_cap(plan.useful_cap)
    asked = {"usd": least.ceiling_pico, "tokens": least.tokens_max}.get(facts.unit)
    return asked is not None and facts.available is not None and asked <= facts.available
