"""Usage of Anthropic's Messages: input, cache reads and cache writes add up, none contains another."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents.pricing import Usage
from proxy.providers.counting import Counts, UsageUnreadable, rest

_COUNTED_ITERATIONS = frozenset({"message"})
_TOLD_ELSEWHERE = frozenset({"service_tier", "speed", "inference_geo", "iterations", "type", "model"})
_FETCHES = frozenset({"web_fetch_requests"})  # only their tokens cost


def read_messages(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Usage:
    """Messages, streamed or not. A stream's two reports may be given as message_start and message_delta."""
    if "message_start" in usage:
        usage = merge(usage["message_start"], usage.get("message_delta") or {})
    any_long = bool(context.get("any_1h_ttl"))
    own = _buckets(Counts(usage, ignored=_TOLD_ELSEWHERE), any_long=any_long)
    iterations = _iterations(usage)
    if not iterations:
        return own
    top = own
    attempts = Usage()
    for iteration in iterations:
        kind, extra = _iteration(iteration, any_long=any_long)
        if kind in _COUNTED_ITERATIONS:
            attempts = _sum(attempts, extra)
        else:
            own = _sum(own, extra)
    if attempts.total_input > top.total_input or attempts.total_output > top.total_output:
        # With fallbacks of the provider's own the iterations are the bill, perhaps at other models' rates.
        own = replace(own, unknown_keys=(*own.unknown_keys, "iterations.message"))
    return own


def merge(start: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """The report so far: later numbers are cumulative, so the last one that is not null stands."""
    return {**start, **{key: value for key, value in delta.items() if value is not None}}


def _buckets(counts: Counts, *, any_long: bool) -> Usage:
    fresh, output = counts.required("input_tokens"), counts.required("output_tokens")
    split = counts.part("cache_creation")
    long, short = split.count("ephemeral_1h_input_tokens"), split.count("ephemeral_5m_input_tokens")
    written = counts.optional("cache_creation_input_tokens")
    written = long + short if written is None else written
    unsplit = rest(written, long, short, key="cache_creation_input_tokens")
    searches = counts.part("server_tool_use", ignored=_FETCHES).count("web_search_requests")
    thinking = counts.part("output_tokens_details")
    return Usage(
        input=fresh,
        cache_read=counts.count("cache_read_input_tokens"),
        cache_write=short + (0 if any_long else unsplit),
        cache_write_long=long + (unsplit if any_long else 0),
        output=output,
        reasoning=thinking.count("thinking_tokens") + thinking.count("reasoning_tokens"),
        tools={"web_search": searches} if searches else {},
        unknown_keys=counts.unknown_keys(),
    )


def _iterations(usage: Mapping[str, Any]) -> list[Any]:
    told = usage.get("iterations") or []
    if not isinstance(told, list):
        raise UsageUnreadable("iterations", "is not a list")
    return told


def _iteration(iteration: Any, *, any_long: bool) -> tuple[str, Usage]:
    """The kind of a pass and what it used. Compaction runs on the same model; other kinds we cannot price."""
    if not isinstance(iteration, Mapping):
        raise UsageUnreadable("iterations", "holds something that is not an object")
    kind = iteration.get("type")
    if not isinstance(kind, str):
        raise UsageUnreadable("iterations.type", "is not a string")
    used = _buckets(Counts(iteration, "iterations.", ignored=_TOLD_ELSEWHERE), any_long=any_long)
    if kind in _COUNTED_ITERATIONS or kind == "compaction":
        return kind, used
    return kind, replace(used, unknown_keys=(f"iterations.{kind}",))


def _sum(own: Usage, extra: Usage) -> Usage:
    return Usage(
        input=own.input + extra.input,
        cache_read=own.cache_read + extra.cache_read,
        cache_write=own.cache_write + extra.cache_write,
        cache_write_long=own.cache_write_long + extra.cache_write_long,
        output=own.output + extra.output,
        reasoning=own.reasoning + extra.reasoning,
        tools=own.tools,
        unknown_keys=own.unknown_keys + extra.unknown_keys,
    )
