"""Answers that a provider keeps, asked for again: only by the agent that made them, and never charged."""

import re
from contextlib import suppress
from urllib.parse import parse_qsl

from agents.callers import Caller
from agents.ledger import LedgerAway as NoLedger
from agents.ledger import StoredAnswer
from proxy import chains, planning, relay
from proxy.errors import AgentPaused, NotFound, ProviderNotConnected, UnsupportedEndpoint
from proxy.incoming import Incoming
from proxy.names import read_names
from proxy.planning import Plan
from proxy.process import Process
from proxy.providers import registry
from proxy.providers.endpoints import Route
from proxy.providers.registry import QUERY_FIELDS_MAX
from proxy.reply import Reply

FRESH_SECONDS = 1.0
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


async def handle_stored(process: Process, incoming: Incoming, route: Route) -> Reply:
    """Pass the question on to the provider that answered; there is no ceiling, no hold and no row.

    Raises NotFound, in the same words, for what nobody made, what another agent made and what the sandbox said.
    """
    caller = incoming.caller = await process.keys.caller(incoming.claim, fresh_seconds=FRESH_SECONDS)
    if caller.paused:
        raise AgentPaused(agent=caller.agent_name)
    _refuse_stream(incoming)
    read_names(incoming.headers, caller)
    is_id = _ID.fullmatch(route.item) is not None and not caller.practice
    answer = await chains.find(process, caller, route.item) if is_id else None
    if answer is None:
        raise NotFound(what=f"response {route.item[:128]}")
    reply = await relay.forward_free(process, _plan(process, incoming, caller, route, answer), incoming.headers)
    if route.endpoint.method == "DELETE" and 200 <= reply.status < 300:
        await _forget(process, answer)
    return reply


def _refuse_stream(incoming: Incoming) -> None:
    try:
        asked = dict(parse_qsl(incoming.query, max_num_fields=QUERY_FIELDS_MAX)).get("stream", "false")
    except ValueError:
        return
    if asked.lower() not in ("false", "0"):
        raise UnsupportedEndpoint(
            endpoint=f"{incoming.method} {incoming.path} as a stream", param="stream", hint="Leave stream out."
        )


def _plan(process: Process, incoming: Incoming, caller: Caller, route: Route, answer: StoredAnswer) -> Plan:
    # A key of the caller's own is shown to the provider that answered, and the organisation's is not.
    caller = caller.with_own_key(f"{answer.provider}/{answer.model}")
    provider = next((one for one in planning.providers_of(caller) if one.name == answer.provider), None)
    if provider is None:
        raise ProviderNotConnected(provider=answer.provider)
    request = registry.surface_of(route.endpoint).read_request(route, b"", incoming.headers)
    target = provider.target(answer.model, route.endpoint.dialect)
    return planning.free_plan_for(process.prices, caller, route, request, target)


async def _forget(process: Process, answer: StoredAnswer) -> None:
    """The provider has it no more; a note that stays leads to the provider's own 404."""
    with suppress(NoLedger):
        await process.ledger.forget_answer(answer)
