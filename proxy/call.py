"""One call, from its key to its settled cost. The order of the steps is written here and nowhere else."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from agents.callers import Caller
from agents.ledger import RefusalRow, Stale
from proxy import admission, allowance, chains, narrowing, planning, relay, replay
from proxy.admission import Admission
from proxy.errors import AgentPaused, BudgetRefusal, LedgerAway, Overloaded, Refusal
from proxy.errors.table import TABLE
from proxy.guards import Turn
from proxy.guards.cache import Keeper
from proxy.incoming import Incoming
from proxy.names import Names, missing_meters, read_names
from proxy.planning import Plan
from proxy.process import Process
from proxy.providers.endpoints import Route
from proxy.providers.model_request import ModelRequest
from proxy.reply import RawHeaders, Reply, bound_headers, budget_headers
from proxy.sending import ProviderRequest

# The first reload answers a change that this process had not seen; the others, changes made meanwhile.
RELOADS_MAX = 3
FREE_FRESH_SECONDS = 1.0
# A refusal that needs no ledger may come from a snapshot that is older than what was loosened meanwhile.
REFUSAL_FRESH_SECONDS = 0.25


async def handle_call(process: Process, incoming: Incoming, route: Route) -> Reply:
    """Authenticate, read, bound, look for a kept answer, reserve, forward, relay; the pump settles.

    Raises the refusal to answer with.
    """
    caller = incoming.caller = await process.keys.caller(incoming.claim)
    if caller.paused:
        # Nothing will be reserved that could find the snapshot stale, and the agent may run again.
        caller = incoming.caller = await process.keys.caller(incoming.claim, fresh_seconds=REFUSAL_FRESH_SECONDS)
    request: ModelRequest | None = None
    names = Names()
    try:
        if caller.paused:
            raise AgentPaused(agent=caller.agent_name)
        body = await incoming.body()
        request = await process.reader.read(route, body, incoming.headers)
        names = read_names(incoming.headers, caller, body_user=request.user)
        with process.running.entered(incoming.call_id, caller):
            passed = await _admit(process, incoming, route, request, names)
    except Refusal as refusal:
        _record(process, incoming, route, request, names, refusal)
        raise
    if isinstance(passed, Reply):
        process.running.leave(incoming.call_id)  # nothing runs that could be stopped
        return passed
    admitted, outgoing, keeper = passed
    answer = relay.forward(process, admitted, outgoing, keeper)
    beside = _headers_beside(admitted)  # made while the provider works
    try:
        reply = await answer
    except Refusal as refusal:
        refusal.beside += tuple(beside)
        raise
    reply.headers += beside
    return reply


async def handle_free_call(process: Process, incoming: Incoming, route: Route) -> Reply:
    """The same for an endpoint that costs nothing: no ceiling, no hold, no row."""
    caller = incoming.caller = await process.keys.caller(incoming.claim, fresh_seconds=FREE_FRESH_SECONDS)
    if caller.paused:
        raise AgentPaused(agent=caller.agent_name)
    body = await incoming.body()
    read_names(incoming.headers, caller)  # nothing counts here, but what cannot be read is told all the same
    request = await process.reader.read(route, body, incoming.headers)
    request = await chains.with_prior(process, caller, route, request)
    plan = planning.free_plan(process.prices, caller, route, request)
    return await relay.forward_free(process, plan, incoming.headers)


async def _admit(
    process: Process, incoming: Incoming, route: Route, request: ModelRequest, names: Names
) -> tuple[Admission, ProviderRequest, Keeper | None] | Reply:
    """Bound the call, pass the guards and hold its ceiling, under the caller's policy as the ledger knows it now.

    Where the cache has the answer it is returned instead, and nothing is held.
    """
    seconds_max, narrow = process.limits.time_outs.total_seconds, partial(narrowing.narrow, process)
    caller = incoming.caller
    assert caller is not None, "authenticated before anything is reserved"
    turn = Turn(process.guards, names.session, incoming.gone)
    for _ in range(RELOADS_MAX + 1):
        if caller.paused:
            raise AgentPaused(agent=caller.agent_name)
        if missing := missing_meters(names, caller):
            caller = incoming.caller = await process.keys.with_meters(incoming.claim, caller, missing)
        try:
            asked = await _plan(process, caller, route, request, names)
            place = replay.place_for(process, asked, incoming.headers)
            if place is not None and (kept := await replay.find(process, incoming, asked, place)) is not None:
                return replay.reply_from(process, incoming, asked, names, kept)
            plan = await turn.take(asked, narrow)
        except Refusal:
            # Nothing was reserved that could have found the snapshot stale; a rate, a key or a guard may be new.
            fresh = await process.keys.caller(incoming.claim, fresh_seconds=REFUSAL_FRESH_SECONDS)
            if fresh == caller:
                raise
            caller = incoming.caller = fresh
            continue
        outgoing = ProviderRequest(process, plan, incoming.headers)
        try:
            async with turn:
                admitted = await admission.admit(
                    process.ledger, incoming.call_id, plan, names, narrow=narrow, seconds_max=seconds_max,
                    meanwhile=outgoing.prepare,
                )  # fmt: skip
        except Stale:
            caller = incoming.caller = await process.keys.reloaded(incoming.claim, caller)
        else:
            if admitted.plan is not plan:
                outgoing = ProviderRequest(process, admitted.plan, incoming.headers)
            return replace(admitted, turn=turn), outgoing, replay.keeper_for(process, place, asked, admitted)
    raise Overloaded(hint="The agent's settings kept changing.")


async def _plan(process: Process, caller: Caller, route: Route, request: ModelRequest, names: Names) -> Plan:
    """Bound the call within what its agent may do; raises the refusals that need no ledger."""
    allowance.check_names(caller, names)
    request = await chains.with_prior(process, caller, route, request)
    seconds_max = process.limits.time_outs.total_seconds
    plan = planning.make_plan(process.prices, caller, route, request, now=datetime.now(UTC), seconds_max=seconds_max)
    return await narrowing.within_limits(process, plan)


def _headers_beside(admitted: Admission) -> RawHeaders:
    """What the answer says beside the provider's headers (product.md W8)."""
    headers = budget_headers(admitted.reservation.tightest) + bound_headers(admitted.plan.our_cap)
    if replay.is_on(admitted.plan.caller):
        headers.append(replay.MISS)
    return headers


def _record(
    process: Process, incoming: Incoming, route: Route, request: ModelRequest | None, names: Names, refusal: Refusal
) -> None:
    """Keep the refusal in the book; what says nothing about the caller's call is not one."""
    caller = incoming.caller
    if caller is None or isinstance(refusal, LedgerAway | Overloaded):
        return
    row = TABLE[refusal.reason]
    asked_pico = refusal.asked if isinstance(refusal, BudgetRefusal) and refusal.unit == "usd" else 0
    process.ledger.record_refusal(
        RefusalRow(
            call_id=incoming.call_id,
            organization_id=caller.organization_id,
            agent_id=caller.agent_id,
            reason=refusal.reason,
            http_status=caller.refusal_status if row.may_be_402 else row.status,
            start=admission.refused_start(caller, route, request, names, process.prices.version),
            practice=caller.practice,
            asked_pico=asked_pico,
            facts=refusal.facts() or None,
        )
    )
