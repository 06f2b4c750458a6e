"""Answers from the cache: found before anything is held, given again, and booked at nothing (product.md B10)."""

from collections.abc import Mapping
from datetime import UTC, datetime

from accounts.ids import made_at
from agents import ledger as ledgers
from agents.callers import Caller
from agents.ledger import CachedRow
from proxy.admission import Admission, start_of
from proxy.guards.cache import Keeper, Kept, Place, place_of
from proxy.incoming import Incoming
from proxy.names import Names
from proxy.planning import Plan
from proxy.process import Process
from proxy.reply import Reply, bound_headers, cost_header
from proxy.sending import base_url_of, url_of

HIT, MISS = (b"x-awx-cache", b"hit"), (b"x-awx-cache", b"miss")
# What else than the body reaches the provider and can shape its answer.
_HEADERS = ("anthropic-version", "anthropic-beta", "openai-beta")


def is_on(caller: Caller) -> bool:
    """Whether the caller's answers are kept and given again; practice calls are not."""
    return caller.guards.cache_seconds is not None and not caller.practice


def place_for(process: Process, plan: Plan, client_headers: Mapping[str, str]) -> Place | None:
    """Where the answer to this call is kept; None where none is.

    An answer that its provider keeps has an id, which belongs to one agent; and what it continues may be gone.
    """
    caller, request = plan.caller, plan.request
    if not (is_on(caller) and plan.route.endpoint.kept) or request.keeps or request.previous_id or request.named_items:
        return None
    return place_of(
        caller.organization_id,
        plan.body,
        endpoint=plan.route.endpoint.name,
        provider=plan.target.provider,
        model=plan.target.model,
        url=url_of(base_url_of(process, plan), plan),  # its query may ask for another form
        wants_usage=request.wants_usage,  # else it is cut out of what the client receives
        headers={name: client_headers.get(name, "") for name in _HEADERS},
    )


async def find(process: Process, incoming: Incoming, plan: Plan, place: Place) -> Kept | None:
    """The answer that was kept for this call, as long as its agent may call at all.

    Nothing will be reserved that could find the snapshot stale, so the ledger is asked; without it nothing passes.
    """
    caller = plan.caller
    kept = await process.cache.look_up(place, seconds_max=caller.guards.cache_seconds or 0)
    if kept is None:
        return None
    try:
        is_current = await process.ledger.is_current(
            incoming.call_id,
            organization_id=caller.organization_id,
            agent_id=caller.agent_id,
            organization_version=caller.organization_version,
            agent_version=caller.agent_version,
        )
    except ledgers.LedgerAway:
        return None
    return kept if is_current else None


def reply_from(process: Process, incoming: Incoming, plan: Plan, names: Names, kept: Kept) -> Reply:
    """Give the answer again and book the call at nothing."""
    caller = plan.caller
    process.ledger.record_cached(
        CachedRow(
            call_id=incoming.call_id,
            organization_id=caller.organization_id,
            agent_id=caller.agent_id,
            http_status=kept.status,
            start=start_of(plan, names),
            saved_pico=kept.cost_pico,
            original_id=kept.call_id,
            duration_ms=_age_ms(incoming),
        )
    )
    headers = [(b"content-type", kept.content_type.encode("latin-1")), HIT, cost_header(0)]
    return Reply(kept.status, headers + bound_headers(plan.our_cap), kept.body)


def keeper_for(process: Process, place: Place | None, planned: Plan, admitted: Admission) -> Keeper | None:
    """What keeps the call's answer; none where its output bound had to shrink: the next to ask may afford more."""
    seconds = admitted.plan.caller.guards.cache_seconds
    if place is None or seconds is None or admitted.plan.output_cap != planned.output_cap:
        return None
    return Keeper(process.cache, place, call_id=admitted.call_id, seconds=seconds)


def _age_ms(incoming: Incoming) -> int:
    elapsed = datetime.now(UTC) - made_at(incoming.call_id)
    return max(0, round(elapsed.total_seconds() * 1000))
