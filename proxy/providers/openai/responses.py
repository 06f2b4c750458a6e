"""OpenAI's Responses: made, streamed, counted; and those that the provider keeps, which proxy.stored asks for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from proxy.bounds import input_tokens
from proxy.errors import Dialect
from proxy.headers import check_betas
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.fingerprints import facts_of
from proxy.providers.metered import Basis, Metered, StreamMeter
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai import responses_checks as checks
from proxy.providers.openai.chat_checks import asks_long_cache, check_refused, pin_tier, tier_of
from proxy.providers.openai.responses_items import hidden_input, items_of, named_items, system_contents
from proxy.providers.openai.responses_stream import ResponseMeter, meter_answer
from proxy.providers.openai.vision import image_tokens
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import flag, parse_object, required_word, table, whole_number, word
from proxy.providers.targets import Target

DIALECT = Dialect.OPENAI
_PATH, _UPSTREAM = "/v1/responses", "/responses"
_ONE, _ONE_UPSTREAM = f"{_PATH}/{{id}}", f"{_UPSTREAM}/{{id}}"
RESPONSES = Endpoint("responses", DIALECT, "POST", _PATH, _UPSTREAM)
INPUT_TOKENS = Endpoint(
    "input_tokens", DIALECT, "POST", f"{_PATH}/input_tokens", f"{_UPSTREAM}/input_tokens", priced=False
)
INPUT_ITEMS = Endpoint(
    "response_items", DIALECT, "GET", f"{_ONE}/input_items", f"{_ONE_UPSTREAM}/input_items", priced=False, stored=True
)
RESPONSE = Endpoint("response", DIALECT, "GET", _ONE, _ONE_UPSTREAM, priced=False, stored=True)
DELETION = Endpoint("response", DIALECT, "DELETE", _ONE, _ONE_UPSTREAM, priced=False, stored=True)
# The longer path first: an id may hold slashes as far as routes go.
ENDPOINTS = (RESPONSES, INPUT_TOKENS, INPUT_ITEMS, RESPONSE, DELETION)

CAP_FIELD, CAP_MIN = "max_output_tokens", 16  # fewer tokens the provider does not take


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read and check a request for a response or for the count of its input; raises the refusals of proxy.errors."""
    check_betas(headers, DIALECT)
    endpoint = route.endpoint
    if endpoint.stored:
        return ModelRequest(endpoint=endpoint, model="", body={})
    parsed, growth = parse_object(body)
    model = required_word(parsed, "model")
    checks.check_fields(parsed)
    hosted = checks.hosted_tools(parsed)
    return ModelRequest(
        endpoint=endpoint,
        model=model,
        body=parsed,
        stream=flag(parsed, "stream") and endpoint.priced,
        output_cap=whole_number(parsed, CAP_FIELD, least=CAP_MIN, most=10**9),
        output_cap_least=CAP_MIN,
        tier=tier_of(parsed),
        cache_ttl_long=asks_long_cache(body, parsed),
        hosted_tools=hosted,
        hidden=hidden_input(parsed, items := items_of(parsed), growth, hosted=bool(hosted)),
        user=word(parsed, "user") or word(parsed, "safety_identifier"),
        keeps=endpoint.priced and (flag(parsed, "store") or parsed.get("store") is None),
        previous_id=word(parsed, "previous_response_id") or "",
        leaves_out=checks.leaves_out(parsed),
        reads_all=table(parsed, "reasoning").get("context") == "all_turns",
        named_items=named_items(items),
        facts=facts_of(body, parsed, system=system_contents(parsed, items), messages=items),
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id, a pinned tier, a bound on hosted tools."""
    if request.endpoint.stored:
        return Outgoing(request=request, target=target, body=b"", input_tokens=0, cap_field=CAP_FIELD)
    body = {name: value for name, value in request.body.items() if value is not None or name != CAP_FIELD}
    body["model"] = target.model
    if request.endpoint.priced:
        request = _with_pinned(body, request, target)
    check_refused(body, target)
    body.update(target.added)
    sent = orjson.dumps(body)
    images = (target.traits.image_tokens or image_tokens)(target.model, request.hidden.images)
    return Outgoing(
        request=request,
        target=target,
        body=sent,
        input_tokens=input_tokens(len(sent), request.hidden, images) + target.traits.template_tokens,
        cap_field=CAP_FIELD,
    )


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a whole answer; a token count is free."""
    if not request.endpoint.priced:
        return Metered(basis=Basis.USAGE, finished=True)
    return meter_answer(request, body)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """A meter that changes nothing."""
    return ResponseMeter(request)


def _with_pinned(body: dict[str, Any], request: ModelRequest, target: Target) -> ModelRequest:
    """Pin in the body what the provider would choose; the request as it is then bounded."""
    pin_tier(body, target)
    if not request.hosted_tools:
        return request
    assert all(request.hosted_tools.values()), "every hosted tool has a bound before its request is serialised"
    uses = checks.uses_of_each(request.hosted_tools)
    body["max_tool_calls"] = uses
    return replace(request, hosted_tools=dict.fromkeys(request.hosted_tools, uses))
