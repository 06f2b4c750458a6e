"""POST /v1/estimate: what a request could cost at most, and whether it would be admitted now; nothing is reserved."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from agents.callers import Caller
from agents.money import usd_exact
from proxy import allowance, chains, narrowing, planning
from proxy.errors import AgentPaused, Dialect, Malformed, Refusal, UnknownPath, UnsupportedEndpoint
from proxy.errors.render import message
from proxy.incoming import Incoming
from proxy.names import missing_meters, named_budgets, read_names
from proxy.process import Process
from proxy.providers import registry
from proxy.providers.endpoints import Route
from proxy.providers.parsing import parse_object
from proxy.reply import Reply
from proxy.selfservice.answers import budget_object, json_reply
from proxy.selfservice.current import current_caller
from proxy.selfservice.verdict import verdict_on

_PATHS = {Dialect.ANTHROPIC: "/v1/messages", Dialect.OPENAI: "/v1/chat/completions"}
_RESPONSES = "/v1/responses"


async def estimate(process: Process, incoming: Incoming, _: str) -> Reply:
    """Read, bound and price as for a call, then decide as its admission would; raises what needs no budget.

    Rates are not asked, since asking counts: calls and tokens per minute, pacing, loops, retries.
    """
    caller = await current_caller(process, incoming)
    body = await incoming.body()
    route = _route_of(process, incoming, caller, body)
    request = await process.reader.read(route, body, incoming.headers)
    names = read_names(incoming.headers, caller, body_user=request.user)
    allowance.check_names(caller, names)
    if missing := missing_meters(names, caller):
        caller = incoming.caller = await process.keys.with_meters(incoming.claim, caller, missing)
    request = await chains.with_prior(process, caller, route, request)
    plan = planning.make_plan(
        process.prices, caller, route, request, now=datetime.now(UTC),
        seconds_max=process.limits.time_outs.total_seconds,
    )  # fmt: skip
    plan = await narrowing.within_limits(process, plan)
    named = named_budgets(names, caller, plan.priced_model)
    balances = await process.ledger.balances_of(named, caller.practice)
    refusal: Refusal | None = AgentPaused(agent=caller.agent_name) if caller.paused else None
    if refusal is None:
        plan, refusal = await verdict_on(plan, names, balances, narrow=partial(narrowing.narrow, process))
    return json_reply(
        {
            "agent": caller.agent_slug,
            "provider": plan.target.provider,
            "model": plan.target.model,
            "ceiling": usd_exact(plan.ceiling_pico),
            "input_tokens_max": plan.reach[0],
            "output_tokens_max": plan.reach[1],
            "admitted": refusal is None,
            "refusal": _refusal_object(refusal),
            "budgets": [budget_object(facts, caller) for facts in balances],
        }
    )


def _route_of(process: Process, incoming: Incoming, caller: Caller, body: bytes) -> Route:
    """What the body would be sent to: the path that the query names, else what its form tells."""
    named = dict(registry.query_pairs(incoming.query)).get("path")
    if named is None:
        return _route_by_form(process, caller, incoming.dialect, body)
    path = named.removeprefix("/proxy")
    try:
        route = registry.find_route("POST", path, incoming.headers)
    except UnknownPath as error:
        hint = "Name the path of a call, such as /proxy/v1/messages."
        raise Malformed(problem=f"nothing is posted to {path[:200]}", param="path", hint=hint) from error
    if not route.endpoint.priced:
        raise Malformed(problem=f"{path} costs nothing", param="path", hint="Estimate what is charged.")
    return route


def _route_by_form(process: Process, caller: Caller, dialect: Dialect, body: bytes) -> Route:
    """The endpoint that a body is for; OpenAI's dialect, which a bearer token alone tells of, may be any."""
    if dialect is not Dialect.OPENAI:
        return _posted(_PATHS[dialect])
    said, _ = parse_object(body)
    if "input" in said and "messages" not in said:
        return _posted(_RESPONSES)
    chat, model = _posted(_PATHS[dialect]), said.get("model")
    try:
        planning.choose_target(process.prices, caller, chat, model if isinstance(model, str) else "")
    except UnsupportedEndpoint:
        return _posted(_PATHS[Dialect.ANTHROPIC])  # who has the model knows no chats
    except Refusal:
        pass  # whatever is wrong with it, the steps of a call say
    return chat


def _posted(path: str) -> Route:
    return registry.find_route("POST", path, {})


def _refusal_object(refusal: Refusal | None) -> dict[str, Any] | None:
    if refusal is None:
        return None
    return {"reason": refusal.reason, "message": message(refusal), **refusal.facts()}
