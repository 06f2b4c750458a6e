"""Anthropic's messages and the count of their tokens."""

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.bounds import input_tokens
from proxy.errors import Dialect, Malformed, UnpricedFeature
from proxy.headers import check_betas
from proxy.providers.anthropic import checks
from proxy.providers.anthropic.stream import MessageMeter, meter_answer
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.fingerprints import facts_of
from proxy.providers.metered import Basis, Metered, StreamMeter
from proxy.providers.model_request import ModelRequest
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import flag, has_escapes, parse_object, required_word, table, whole_number, word
from proxy.providers.targets import Target

DIALECT = Dialect.ANTHROPIC
MESSAGES = Endpoint("messages", DIALECT, "POST", "/v1/messages", "/v1/messages")
COUNT_TOKENS = Endpoint(
    "count_tokens", DIALECT, "POST", "/v1/messages/count_tokens", "/v1/messages/count_tokens", priced=False
)
ENDPOINTS = (MESSAGES, COUNT_TOKENS)

LONG_CONTEXT_BETA = "context-1m-2025-08-07"


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read and check a message request; raises the refusals of proxy.errors."""
    check_betas(headers, DIALECT)
    parsed, growth = parse_object(body)
    model = required_word(parsed, "model")
    if not route.endpoint.priced:
        return ModelRequest(endpoint=route.endpoint, model=model, body=parsed, facts=facts_of(body, parsed, system=[]))
    checks.check_fields(parsed)
    if LONG_CONTEXT_BETA in headers.get("anthropic-beta", "") and not checks.is_flat_priced(model):
        raise UnpricedFeature(feature=f"a context of a million tokens on {model}", param="anthropic-beta")
    cap = whole_number(parsed, "max_tokens", least=0, most=10**9)
    if cap is None:
        raise Malformed(problem="'max_tokens' is missing", param="max_tokens")
    thinking = checks.thinking_tokens(parsed)
    return ModelRequest(
        endpoint=route.endpoint,
        model=model,
        body=parsed,
        stream=flag(parsed, "stream"),
        output_cap=cap,
        output_cap_least=thinking + 1,
        # Interleaved thinking may have a budget above the output bound, which then does not count it.
        extra_output_tokens=thinking if thinking >= cap else 0,
        speed=checks.speed_of(parsed),
        geo=checks.geo_of(parsed),
        cache_ttl_long=_asks_long_cache(body, parsed),
        hosted_tools=checks.hosted_tools(parsed),
        hidden=checks.hidden_input(parsed, growth),
        user=word(table(parsed, "metadata"), "user_id"),
        facts=facts_of(body, parsed, system=[parsed.get("system")]),
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id, standard capacity, a place where the model takes one, uses of tools."""
    assert all(request.hosted_tools.values()), "every hosted tool has a bound before its request is serialised"
    body = request.body | {"model": target.model}
    if request.hosted_tools:
        body["tools"] = checks.with_uses(body["tools"], request.hosted_tools)
    if request.endpoint.priced:
        if body.get("service_tier") in (None, "auto"):
            body["service_tier"] = "standard_only"
        if body.get("inference_geo") is None and checks.takes_place(target.model):
            # Left out, the workspace's default decides, and that may be the dearer one.
            body["inference_geo"] = "global"
    sent = orjson.dumps(body)
    images = checks.image_tokens_max(target.model) * len(request.hidden.images)
    return Outgoing(
        request=request,
        target=target,
        body=sent,
        input_tokens=input_tokens(len(sent), request.hidden, images),
        cap_field="max_tokens",
    )


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a whole answer; a token count is free."""
    if not request.endpoint.priced:
        return Metered(basis=Basis.USAGE, finished=True)
    return meter_answer(request, body)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """A meter that changes nothing."""
    return MessageMeter(request)


def _asks_long_cache(body: bytes, parsed: dict[str, Any]) -> bool:
    """Whether a cache lifetime of an hour is asked for anywhere; a text that is just "1h" counts too."""
    plain = orjson.dumps(parsed) if has_escapes(body) else body
    return b'"1h"' in plain
