"""Gemini's generated content, whole and streamed."""

from collections.abc import Mapping

import orjson

from proxy.bounds import input_tokens
from proxy.providers.endpoints import Route
from proxy.providers.fingerprints import facts_of
from proxy.providers.gemini import checks
from proxy.providers.gemini.fields import camel, spelling
from proxy.providers.gemini.manners import check_model, form_of, methods, path_of, with_model
from proxy.providers.gemini.stream import ContentMeter, meter_answer
from proxy.providers.gemini.vision import image_tokens
from proxy.providers.metered import Metered, StreamMeter
from proxy.providers.model_request import EVENT_STREAM, JSON_ARRAY, ModelRequest
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import JsonObject, parse_object
from proxy.providers.targets import Target

GENERATE = methods("generate_content", "generateContent")
STREAM = methods("stream_generate_content", "streamGenerateContent")
ENDPOINTS = (*GENERATE, *STREAM)

CONFIG, CAP = "generationConfig", "maxOutputTokens"
CAP_NAMES = (CAP, "max_output_tokens")


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read and check a request for content; raises the refusals of proxy.errors."""
    parsed, growth = parse_object(body)
    fields, config = checks.read_fields(parsed)
    check_model(fields, route.item)
    contents = checks.contents_of(fields)
    return ModelRequest(
        endpoint=route.endpoint,
        model=route.item,
        body=parsed,
        stream=route.endpoint in STREAM,
        stream_type=EVENT_STREAM if form_of(route.query) == "sse" else JSON_ARRAY,
        output_cap=checks.cap_of(config),
        output_cap_least=checks.thinking_tokens(config) + 1,
        choices=checks.choices_of(config),
        tier=checks.tier_of(fields),
        hidden=checks.hidden_input(fields, contents, config, growth),
        facts=facts_of(body, {"messages": contents}, system=[checks.system_parts(fields)]),
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target, its model id in the path; the output bound comes with send()."""
    body = with_model(request.body, target)
    parent = spelling(body, CONFIG)
    if request.output_cap is None:
        body = _with_config_last(body, parent)
    sent = orjson.dumps(body)
    return Outgoing(
        request=request,
        target=target,
        body=sent,
        input_tokens=input_tokens(len(sent), request.hidden, image_tokens(target.model, request.hidden.images)),
        cap_field=CAP,
        cap_aliases=CAP_NAMES,
        cap_parent=parent,
        path=path_of(request, target),
    )


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a whole answer."""
    return meter_answer(request, body)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """A meter that changes nothing."""
    return ContentMeter(request)


def _with_config_last(body: JsonObject, name: str) -> JsonObject:
    """The body ending in the object that our output bound goes into; without a null in its place."""
    config = {field: value for field, value in (body.get(name) or {}).items() if camel(field) != CAP}
    return {field: value for field, value in body.items() if field != name} | {name: config}
