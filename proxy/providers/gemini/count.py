"""Gemini's count of tokens, which is free."""

from collections.abc import Mapping

import orjson

from proxy.providers.endpoints import Route
from proxy.providers.fingerprints import facts_of
from proxy.providers.gemini.fields import spelling
from proxy.providers.gemini.manners import methods, path_of
from proxy.providers.metered import Basis, Metered, StreamMeter
from proxy.providers.model_request import ModelRequest
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import parse_object, table
from proxy.providers.targets import Target

COUNT = methods("count_content_tokens", "countTokens", priced=False)
ENDPOINTS = COUNT


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read a request for a count; it is forwarded as it is."""
    parsed, _ = parse_object(body)
    return ModelRequest(endpoint=route.endpoint, model=route.item, body=parsed, facts=facts_of(body, parsed, system=[]))


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id in the path, and in the request inside the body."""
    body = dict(request.body)
    inner = spelling(body, "generateContentRequest")
    if table(body, inner).get("model") is not None:
        body[inner] = body[inner] | {"model": f"models/{target.model}"}
    return Outgoing(
        request=request,
        target=target,
        body=orjson.dumps(body),
        input_tokens=0,
        cap_field="",
        path=path_of(request, target),
    )


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """A count costs nothing."""
    return Metered(basis=Basis.USAGE, finished=True)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """Counts are never streamed."""
    raise NotImplementedError("a count is answered whole")
