"""Amounts, times and objects as these answers write them."""

from datetime import UTC, datetime
from typing import Any

import orjson

from agents.callers import Caller
from agents.ledger import BudgetFacts
from agents.money import usd_exact
from proxy.incoming import Incoming
from proxy.reply import Reply

JSON = (b"content-type", b"application/json")


def json_reply(content: dict[str, Any], status: int = 200) -> Reply:
    """An object as an answer."""
    return Reply(status, [JSON], orjson.dumps(content))


def caller_of(incoming: Incoming) -> Caller:
    """Who asks; known by now."""
    assert incoming.caller is not None, "handle authenticates first"
    return incoming.caller


def budget_object(facts: BudgetFacts, caller: Caller) -> dict[str, Any]:
    """How one budget stands."""
    name = caller.organization_name if facts.scope == "organization" else caller.agent_name
    return {
        "scope": facts.scope,
        "name": facts.subject or facts.scope_name or name,
        "unit": facts.unit,
        "window": facts.window,
        "mode": facts.mode,
        "limit": amount(facts.limit, facts.unit),
        "spent": amount(facts.spent, facts.unit),
        "held": amount(facts.held, facts.unit),
        "available": amount(facts.available, facts.unit),
        "resets_at": instant(facts.window_end),
    }


def amount(value: int | None, unit: str) -> str | None:
    """An exact decimal string in the unit; None where there is no limit."""
    if value is None:
        return None
    return usd_exact(value) if unit == "usd" else str(value)


def instant(at: datetime | None) -> str | None:
    """RFC 3339, in UTC."""
    return at.astimezone(UTC).isoformat() if at is not None else None
