"""GET /v1/budget: how every budget stands that a call of this agent, session and user would count against."""

from proxy.incoming import Incoming
from proxy.names import named_budgets, read_names
from proxy.process import Process
from proxy.reply import Reply
from proxy.selfservice.answers import budget_object, caller_of, json_reply


async def show(process: Process, incoming: Incoming, _: str) -> Reply:
    """Budgets per session, user and sub-agent are those of the names in the headers; per model, those that name one."""
    caller = caller_of(incoming)
    names = read_names(incoming.headers, caller)
    balances = await process.ledger.balances_of(named_budgets(names, caller, ""), caller.practice)
    return json_reply({"agent": caller.agent_slug, "budgets": [budget_object(facts, caller) for facts in balances]})
