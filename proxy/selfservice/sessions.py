"""GET /v1/sessions/{id}: what a session did; POST …/reset: let it begin anew on its budgets."""

from datetime import UTC, datetime
from urllib.parse import unquote

from agents.money import divide_up, usd_exact
from proxy.errors import NotFound
from proxy.incoming import Incoming
from proxy.names import Names, named_budgets
from proxy.process import Process
from proxy.reply import Reply
from proxy.selfservice.answers import budget_object, caller_of, instant, json_reply


async def show(process: Process, incoming: Incoming, item: str) -> Reply:
    """A session of this agent: calls, refused ones, tokens, cost, average, elapsed time, and its budgets."""
    caller, session = caller_of(incoming), _name_of(item)
    facts = await process.ledger.session(caller.organization_id, caller.agent_id, session, caller.practice)
    if facts is None:
        raise NotFound(what=f"session {session[:64]}")
    # What spans all of a session's calls ends with the last of them, or goes on while one runs.
    until_at = facts.last_at if facts.last_at is not None and not facts.running_count else datetime.now(UTC)
    per_session = [one for one in named_budgets(Names(session=session), caller, "") if one[1] == session]
    balances = await process.ledger.balances_of(per_session, caller.practice)
    return json_reply(
        {
            "session": session,
            "agent": caller.agent_slug,
            "calls": facts.call_count,
            "running": facts.running_count,
            "refused": facts.refused_count,
            "tokens": facts.tokens,
            "cost": usd_exact(facts.cost_pico),
            "average_cost": usd_exact(divide_up(facts.cost_pico, facts.call_count)) if facts.call_count else None,
            "first_at": instant(facts.first_at),
            "last_at": instant(facts.last_at),
            "elapsed_seconds": max(0, round((until_at - facts.first_at).total_seconds())),
            "budgets": [budget_object(budget, caller) for budget in balances],
        }
    )


async def reset(process: Process, incoming: Incoming, item: str) -> Reply:
    """Its budgets per session start over with the next call; the book keeps what was."""
    caller, session = caller_of(incoming), _name_of(item)
    count = await process.ledger.reset_session(caller.agent_id, session, caller.practice)
    return json_reply({"session": session, "agent": caller.agent_slug, "reset_budgets": count})


def _name_of(item: str) -> str:
    """The session that a path names; NotFound for a name that PostgreSQL cannot hold and no call can have had."""
    session = unquote(item)
    if "\0" in session:
        raise NotFound(what=f"session {session[:64]}")
    return session
