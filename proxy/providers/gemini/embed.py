"""Gemini's embeddings, one and many: they read text and write nothing."""

from collections.abc import Mapping

import orjson

from proxy.bounds import Hidden, input_tokens
from proxy.errors import Malformed, UnpricedFeature
from proxy.providers.endpoints import Route
from proxy.providers.fingerprints import facts_of
from proxy.providers.gemini.fields import canonical, check_known, joined, listed, spelling
from proxy.providers.gemini.manners import check_model, methods, path_of, with_model
from proxy.providers.gemini.parts import Parts
from proxy.providers.metered import Basis, Metered, StreamMeter
from proxy.providers.model_request import ModelRequest
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import JsonObject, parse_object
from proxy.providers.targets import Target
from proxy.providers.usage import UsageUnreadable, read_usage

EMBED = methods("embed_content", "embedContent")
BATCH = methods("batch_embed_contents", "batchEmbedContents")
ENDPOINTS = (*EMBED, *BATCH)

_KNOWN = frozenset({"model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig"})
_CONFIG_KNOWN = frozenset({"taskType", "title", "outputDimensionality", "autoTruncate"})
# The model reads a few words that say what the embedding is for.
TASK_TOKENS = 32


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read and check a request for embeddings; raises the refusals of proxy.errors."""
    parsed, growth = parse_object(body)
    requests = _requests(parsed, route)
    for index, request in enumerate(requests):
        _check(request, f"requests[{index}]" if route.endpoint in BATCH else "", model=route.item)
    return ModelRequest(
        endpoint=route.endpoint,
        model=route.item,
        body=parsed,
        output_cap=0,
        hidden=Hidden(text_tokens=growth, constant_tokens=TASK_TOKENS * len(requests)),
        facts=facts_of(body, {"messages": [request["content"] for request in requests]}, system=[]),
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id in the path, and in the body where that names it."""
    body = with_model(request.body, target)
    if request.endpoint in BATCH:
        name = spelling(body, "requests")
        items = body[name] if isinstance(body[name], list) else [body[name]]
        body = body | {name: [with_model(item, target) for item in items]}
    sent = orjson.dumps(body)
    return Outgoing(
        request=request,
        target=target,
        body=sent,
        input_tokens=input_tokens(len(sent), request.hidden, 0),
        cap_field="",
        path=path_of(request, target),
    )


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter an answer; some models tell no usage."""
    try:
        answer = orjson.loads(body)
        usage = answer.get("usageMetadata") if isinstance(answer, dict) else None
        reading = read_usage("google", "embed_content", usage, {}) if isinstance(usage, dict) else None
    except (orjson.JSONDecodeError, UsageUnreadable) as error:
        return Metered(problem=str(error), finished=True)
    if reading is None:
        return Metered(problem="the answer holds no usage", finished=True)
    read, circumstances = reading
    return Metered(
        usage=read,
        circumstances=circumstances,
        basis=Basis.USAGE,
        finished=True,
        raw_usage=usage if read.unknown_keys else None,
    )


def stream_meter(request: ModelRequest) -> StreamMeter:
    """Embeddings are never streamed."""
    raise NotImplementedError("embeddings are answered whole")


def _requests(parsed: JsonObject, route: Route) -> list[JsonObject]:
    """The single requests, by their canonical names."""
    fields = canonical(parsed, "")
    if route.endpoint not in BATCH:
        return [fields]
    check_known(fields, {"model", "requests"})
    check_model(fields, route.item)
    requests = listed(fields.get("requests", []), "requests")
    if not requests:
        raise Malformed(problem="'requests' must hold at least one request", param="requests")
    return requests


def _check(request: JsonObject, path: str, *, model: str) -> None:
    check_known(request, _KNOWN, path)
    check_model(request, model)
    where = joined(path, "embedContentConfig")
    check_known(canonical(request.get("embedContentConfig", {}), where), _CONFIG_KNOWN, where)
    where = joined(path, "content")
    if "content" not in request:
        raise Malformed(problem=f"'{where}' is missing", param=where)
    reader = Parts()
    reader.read(request["content"], where)
    if reader.images:
        raise UnpricedFeature(feature="an embedding of an image", param=where, hint="Send text.")
