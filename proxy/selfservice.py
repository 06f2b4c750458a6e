"""What an agent may ask about itself, also when its budget is gone: budget, calls, models (product.md W10)."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from agents import ledger as ledgers
from agents.ledger import BudgetFacts, CallState
from agents.money import usd_exact
from proxy.errors import LedgerAway, NotFound
from proxy.incoming import Incoming
from proxy.planning import can_serve
from proxy.process import Process
from proxy.providers import registry
from proxy.providers.shape import Route
from proxy.reply import Reply

FRESH_SECONDS = 1.0
BUDGET_PATH = "/v1/budget"
CALL_PATH = "/v1/calls/"
_JSON = (b"content-type", b"application/json")


def is_ours(method: str, path: str) -> bool:
    """Whether the request is for this page and not for a provider's API."""
    return method == "GET" and (path == BUDGET_PATH or path.startswith(CALL_PATH))


async def handle(process: Process, incoming: Incoming) -> Reply:
    """Answer one of our own addresses; raises refusals of the key, NotFound, LedgerAway."""
    incoming.caller = await process.keys.caller(incoming.key, fresh_seconds=FRESH_SECONDS)
    try:
        if incoming.path == BUDGET_PATH:
            return await _budget(process, incoming)
        return await _call(process, incoming, incoming.path.removeprefix(CALL_PATH))
    except ledgers.LedgerAway as error:
        raise LedgerAway from error


async def handle_models(process: Process, incoming: Incoming, route: Route) -> Reply:
    """The priced models that this caller can reach, in the dialect it asked in; nobody else is asked."""
    caller = incoming.caller = await process.keys.caller(incoming.key, fresh_seconds=FRESH_SECONDS)
    models = can_serve(process.prices, caller, route)
    body = registry.module_of(route.endpoint).render_models(models, route.item)
    if body is None:
        raise NotFound(what=f"model {route.item}")
    return Reply(200, [_JSON], body)


async def _budget(process: Process, incoming: Incoming) -> Reply:
    caller = incoming.caller
    assert caller is not None, "handle authenticates first"
    balances = await process.ledger.balances_of(caller.organization_id, caller.agent_id, caller.practice)
    names = {"organization": caller.organization_name}
    budgets = [_budget_object(facts, names.get(facts.scope, caller.agent_name)) for facts in balances]
    return _json({"agent": caller.agent_slug, "budgets": budgets})


async def _call(process: Process, incoming: Incoming, text: str) -> Reply:
    caller = incoming.caller
    assert caller is not None, "handle authenticates first"
    try:
        call_id = UUID(text)
    except ValueError:
        raise NotFound(what=f"call {text[:64]}") from None
    state = await process.ledger.call_state(call_id, caller.agent_id)
    if state is None:
        raise NotFound(what=f"call {call_id}")
    return _json(_call_object(state))


def _budget_object(facts: BudgetFacts, name: str) -> dict[str, Any]:
    return {
        "scope": facts.scope,
        "name": facts.subject or name,
        "unit": facts.unit,
        "window": facts.window,
        "mode": facts.mode,
        "limit": _amount(facts.limit, facts.unit),
        "spent": _amount(facts.spent, facts.unit),
        "held": _amount(facts.held, facts.unit),
        "available": _amount(facts.available, facts.unit),
        "resets_at": _instant(facts.window_end),
    }


def _call_object(state: CallState) -> dict[str, Any]:
    return {
        "call_id": str(state.call_id),
        "status": state.status,
        "provider": state.provider,
        "model": state.model,
        "cost": usd_exact(state.cost_pico),
        "held": usd_exact(state.held_pico),
        "basis": state.basis,
        "reason": state.reason or None,
        "http_status": state.http_status,
        "reserved_at": _instant(state.reserved_at),
        "ended_at": _instant(state.ended_at),
        "usage": {
            "input_tokens": state.input_tokens,
            "cache_read_tokens": state.cache_read_tokens,
            "cache_write_tokens": state.cache_write_tokens,
            "cache_write_long_tokens": state.cache_write_long_tokens,
            "output_tokens": state.output_tokens,
            "reasoning_tokens": state.reasoning_tokens,
        },
    }


def _amount(amount: int | None, unit: str) -> str | None:
    if amount is None:
        return None
    return usd_exact(amount) if unit == "usd" else str(amount)


def _instant(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at is not None else None


def _json(content: dict[str, Any]) -> Reply:
    return Reply(200, [_JSON], orjson.dumps(content))
