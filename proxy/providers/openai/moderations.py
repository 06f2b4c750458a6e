"""OpenAI's moderations: free, so nothing is held and nothing is booked."""

from collections.abc import Mapping

import orjson

from proxy.errors import Dialect, Malformed, UnpricedFeature
from proxy.headers import check_betas
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.metered import Metered, StreamMeter
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai.fields import check_json, check_unknown
from proxy.providers.openai.objects import NoStream
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import parse_object, word
from proxy.providers.targets import Target

MODERATIONS = Endpoint(
    "moderations", Dialect.OPENAI, "POST", "/v1/moderations", "/moderations", priced=False, kept=False
)
ENDPOINTS = (MODERATIONS,)

DEFAULT_MODEL = "omni-moderation-latest"
KNOWN = frozenset({"input", "model"})


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read a request for moderation; raises the refusals of proxy.errors."""
    check_betas(headers, Dialect.OPENAI)
    check_json(headers)
    parsed, _ = parse_object(body)
    check_unknown(parsed, KNOWN)
    if not parsed.get("input"):
        raise Malformed(problem="'input' is missing", param="input")
    return ModelRequest(
        endpoint=route.endpoint, model=word(parsed, "model") or DEFAULT_MODEL, body=parsed, output_cap=0
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id. Raises UnpricedFeature: other providers bill what is free here."""
    if target.provider != "openai":
        raise UnpricedFeature(feature=f"moderations of {target.provider}", param="model")
    sent = orjson.dumps(request.body | {"model": target.model})
    return Outgoing(request=request, target=target, body=sent, input_tokens=0, cap_field="")


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Nothing is metered."""
    return Metered(finished=True)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """There are no streams of moderations."""
    return NoStream()
