"""POST /v1/usage: record a call that was made elsewhere, so that budgets, log and alerts know of it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from accounts.ids import uuid7
from agents import pricing
from agents.callers import Caller
from agents.ledger import CallEnd, CallStart
from agents.ledger.terms import TOKENS_MAX, USD_PICO_MAX
from agents.money import InvalidAmount, parse_usd, usd_exact
from agents.pricebook import UnpricedModel as NoRow
from agents.pricing import Usage
from proxy.call import RELOADS_MAX
from proxy.errors import Malformed, Overloaded, TooManySubjects, UnpricedFeature, UnpricedModel
from proxy.incoming import Incoming
from proxy.names import cut, named_budgets, read_names
from proxy.process import Process
from proxy.providers.parsing import parse_object
from proxy.providers.usage import UsageUnreadable, read_usage
from proxy.reply import Reply
from proxy.selfservice.answers import json_reply
from proxy.selfservice.current import current_caller

ENDPOINT = "usage"
_FACTOR = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?")
_FIELDS = frozenset({"call_id", "provider", "endpoint", "model", "usage", "context", "cost_usd"})


async def record(process: Process, incoming: Incoming, _: str) -> Reply:
    """Price a provider's usage object, or take a cost for what has no price here; idempotent by call_id."""
    said = _object(await incoming.body())
    # What is refused here must not be refused by an old snapshot; what is booked, the ledger checks once more.
    call_id, caller = _call_id(said), await current_caller(process, incoming)
    for _again in range(RELOADS_MAX + 1):
        outcome, end = await _book(process, incoming, caller, call_id, said)
        if outcome != "stale":
            break
        caller = incoming.caller = await process.keys.reloaded(incoming.claim, caller)
    else:
        raise Overloaded(hint="The agent's settings kept changing.")
    _raise_for(outcome, call_id)
    is_new = outcome == "booked"
    said_back = {"call_id": str(call_id), "recorded": is_new, "cost": usd_exact(end.cost_pico), "tokens": end.tokens}
    return json_reply(said_back, status=201 if is_new else 200)


async def _book(
    process: Process, incoming: Incoming, caller: Caller, call_id: UUID, said: Mapping[str, Any]
) -> tuple[str, CallEnd]:
    """Book the call on the budgets that the caller's policy names; returns what the ledger says, and the call's end."""
    names, model = read_names(incoming.headers, caller), _text(said, "model")
    end, priced_model = _end(process, caller, said, model)
    start = CallStart(
        key_id=caller.key_id, provider=_text(said, "provider")[:40], endpoint=ENDPOINT, model=cut(model),
        session=names.session, user_subject=names.user, sub_agent=names.sub_agent, tags=names.tags,
        price_version=process.prices.version,
    )  # fmt: skip
    outcome = await process.ledger.record_usage(
        call_id, caller.organization_id, caller.agent_id, start, end,
        named_budgets(names, caller, priced_model), (caller.organization_version, caller.agent_version),
        caller.practice,
    )  # fmt: skip
    return outcome, end


def _object(body: bytes) -> Mapping[str, Any]:
    said, _ = parse_object(body)
    known = f"Known are {', '.join(sorted(_FIELDS))}."
    for name in said:
        if name not in _FIELDS:
            raise Malformed(problem=f"the field '{name[:64]}' is not known", param=name[:64], hint=known)
    if ("usage" in said) == ("cost_usd" in said):
        raise Malformed(problem="give either 'usage' or 'cost_usd'", param="usage")
    return said


def _end(process: Process, caller: Caller, said: Mapping[str, Any], model: str) -> tuple[CallEnd, str]:
    """The end of the call, and the model as its price names it: that is what budgets per model go by."""
    if "cost_usd" in said:
        cost_pico = _cost(said["cost_usd"])
        return CallEnd(basis="estimated", cost_pico=cost_pico, facts={"recorded": "cost"}), model
    usage = said["usage"]
    context = said.get("context", {})
    if not isinstance(usage, dict) or not isinstance(context, dict):
        raise Malformed(problem="'usage' and 'context' must be objects", param="usage")
    _check_factor(context.get("geo_mult"))
    provider = _text(said, "provider")
    try:
        row = process.prices.row_at(provider, model, datetime.now(UTC), caller.rates)
        measured, circumstances = read_usage(provider, str(said.get("endpoint", "")), usage, context)
        settlement = pricing.settle([row], measured, circumstances)
    except NoRow as error:
        raise UnpricedModel(model=model, provider=provider, hint="Send cost_usd instead of usage.") from error
    except pricing.UnpricedFeature as error:
        raise UnpricedFeature(feature=error.name) from error
    except (UsageUnreadable, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise Malformed(problem="'usage' cannot be read as the provider's usage object", param="usage") from error
    return _priced_end(measured, settlement.cost_pico, row.row_id), row.model


def _check_factor(factor: object) -> None:
    """Raise Malformed for what is no plain number: 1e999999999 is one, and takes longer to read than anybody has."""
    if factor is not None and not _FACTOR.fullmatch(str(factor)):
        raise Malformed(problem="'geo_mult' must be a factor", param="context", hint="Write it as 1.1, for example.")


def _priced_end(usage: Usage, cost_pico: int, row_id: str) -> CallEnd:
    if cost_pico > USD_PICO_MAX or usage.total_tokens > TOKENS_MAX:
        raise Malformed(problem="'usage' is more than one call can use", param="usage")
    return CallEnd(
        cost_pico=cost_pico, tokens=usage.total_tokens, input_tokens=usage.input, cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write, cache_write_long_tokens=usage.cache_write_long,
        output_tokens=usage.output, reasoning_tokens=usage.reasoning, facts={"recorded": "usage", "row": row_id},
    )  # fmt: skip


def _cost(value: object) -> int:
    try:
        cost_pico = parse_usd(value if isinstance(value, str) else "")
    except InvalidAmount as error:
        raise Malformed(problem="'cost_usd' must be a decimal string", param="cost_usd", hint=error.reason) from error
    if cost_pico > USD_PICO_MAX:
        raise Malformed(problem="'cost_usd' is more than one call can cost", param="cost_usd")
    return cost_pico


def _call_id(said: Mapping[str, Any]) -> UUID:
    value = said.get("call_id")
    if value is None:
        return uuid7()
    try:
        call_id = UUID(value)
    except (ValueError, TypeError, AttributeError):
        call_id = None
    if call_id is None or call_id.version != 7:
        raise Malformed(problem="'call_id' must be a UUIDv7", param="call_id", hint="Leave it out and one is made.")
    return call_id


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value or len(value) > 256:
        raise Malformed(problem=f"'{name}' must be a text", param=name)
    return value


def _raise_for(outcome: str, call_id: UUID) -> None:
    if outcome == "too_many":
        raise TooManySubjects(kind="sessions, users or models", limit="10,000")
    problems = {
        "conflict": "was recorded with other amounts",
        "running": "is one of a call that runs here",
        "other_day": "is more than a day off the clock",
    }
    if outcome in problems:
        raise Malformed(problem=f"'call_id' {call_id} {problems[outcome]}", param="call_id")
