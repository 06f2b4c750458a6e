"""GET /v1/calls/{call_id}: what one call cost, by what, and what it used."""

from typing import Any
from uuid import UUID

from agents.ledger import CallState
from agents.money import usd_exact
from proxy.errors import NotFound
from proxy.incoming import Incoming
from proxy.process import Process
from proxy.reply import Reply
from proxy.selfservice.answers import caller_of, instant, json_reply


async def show(process: Process, incoming: Incoming, item: str) -> Reply:
    """A call of this agent; another's is not there."""
    try:
        call_id = UUID(item)
    except ValueError:
        raise NotFound(what=f"call {item[:64]}") from None
    state = await process.ledger.call_state(call_id, caller_of(incoming).agent_id)
    if state is None:
        raise NotFound(what=f"call {call_id}")
    return json_reply(_call_object(state))


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
        "reserved_at": instant(state.reserved_at),
        "ended_at": instant(state.ended_at),
        "usage": {
            "input_tokens": state.input_tokens,
            "cache_read_tokens": state.cache_read_tokens,
            "cache_write_tokens": state.cache_write_tokens,
            "cache_write_long_tokens": state.cache_write_long_tokens,
            "output_tokens": state.output_tokens,
            "reasoning_tokens": state.reasoning_tokens,
        },
    }
