"""OpenAI's dialect: chat completions and models; also what the compatible providers speak."""

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.bounds import input_tokens
from proxy.errors import Dialect, Malformed
from proxy.headers import check_betas
from proxy.providers import openai_checks as checks
from proxy.providers.fingerprints import facts_of
from proxy.providers.openai_images import image_tokens
from proxy.providers.openai_stream import ChatMeter, meter_answer
from proxy.providers.parsing import flag, parse_object, required_word, table, word
from proxy.providers.shape import Endpoint, Metered, ModelRequest, Outgoing, StreamMeter, Target

DIALECT = Dialect.OPENAI
CHAT = Endpoint("chat", DIALECT, "POST", "/v1/chat/completions", "/chat/completions")
MODELS = Endpoint("models", DIALECT, "GET", "/v1/models", "/models", priced=False)
MODEL = Endpoint("model", DIALECT, "GET", "/v1/models/{id}", "/models/{id}", priced=False)
ENDPOINTS = (CHAT, MODELS, MODEL)

# These read max_completion_tokens; the compatible providers know the older name only.
NEW_CAP_PROVIDERS = frozenset({"openai", "azure"})
CAP_FIELDS = ("max_completion_tokens", "max_tokens")


def read_request(endpoint: Endpoint, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read and check a chat completion; raises the refusals of proxy.errors."""
    check_betas(headers, DIALECT)
    parsed, growth = parse_object(body)
    model = required_word(parsed, "model")
    checks.check_fields(parsed)
    stream, options = flag(parsed, "stream"), table(parsed, "stream_options")
    if options and not stream:
        raise Malformed(problem="'stream_options' needs 'stream': true", param="stream_options")
    return ModelRequest(
        endpoint=endpoint,
        model=model,
        body=parsed,
        stream=stream,
        output_cap=checks.cap_of(parsed),
        choices=checks.choices_of(parsed),
        tier=checks.tier_of(parsed),
        wants_usage=flag(options, "include_usage"),
        extra_output_tokens=checks.predicted_tokens(parsed),
        hidden=checks.hidden_input(parsed, growth),
        user=word(parsed, "user") or word(parsed, "safety_identifier"),
        facts=facts_of(body, parsed, system=checks.system_contents(parsed)),
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id, a pinned tier, usage in streams; the output bound comes with send()."""
    body = {name: value for name, value in request.body.items() if value is not None or name not in CAP_FIELDS}
    body["model"] = target.model
    if target.provider == "openai" and body.get("service_tier") in (None, "auto"):
        # Left out, the provider's project setting decides, and that may be the dearer one.
        body["service_tier"] = "default"
    if request.stream and not request.wants_usage:
        body["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
    sent = orjson.dumps(body)
    images = image_tokens(target.model, request.hidden.images)
    return Outgoing(
        request=request,
        target=target,
        body=sent,
        input_tokens=input_tokens(len(sent), request.hidden, images),
        cap_field=_cap_field(request, target),
        cap_aliases=CAP_FIELDS,
    )


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a whole answer."""
    return meter_answer(request, body)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """A meter that also hides usage from a client that did not ask for it."""
    return ChatMeter(request)


def key_headers(key: str) -> list[tuple[str, str]]:
    """The header that carries the provider's key."""
    return [("authorization", f"Bearer {key}")]


def render_models(models: list[str], item: str = "") -> bytes | None:
    """The models in OpenAI's form."""
    if item:
        return orjson.dumps(_model(item)) if item in models else None
    return orjson.dumps({"object": "list", "data": [_model(name) for name in models]})


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "system"}


def _cap_field(request: ModelRequest, target: Target) -> str:
    for field in CAP_FIELDS:
        if request.body.get(field) is not None:
            return field
    return "max_completion_tokens" if target.provider in NEW_CAP_PROVIDERS else "max_tokens"
