"""OpenAI's chat completions; also what the compatible providers speak."""

from collections.abc import Mapping

import orjson

from proxy.bounds import input_tokens
from proxy.errors import Dialect, Malformed
from proxy.headers import check_betas
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.fingerprints import facts_of
from proxy.providers.metered import Metered, StreamMeter
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai import chat_checks as checks
from proxy.providers.openai.chat_stream import ChatMeter, meter_answer
from proxy.providers.openai.vision import image_tokens
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import flag, parse_object, required_word, table, word
from proxy.providers.targets import Target

CHAT = Endpoint("chat", Dialect.OPENAI, "POST", "/v1/chat/completions", "/chat/completions")
ENDPOINTS = (CHAT,)

CAP_FIELDS = ("max_completion_tokens", "max_tokens")


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read and check a chat completion; raises the refusals of proxy.errors."""
    check_betas(headers, Dialect.OPENAI)
    parsed, growth = parse_object(body)
    model = required_word(parsed, "model")
    checks.check_fields(parsed)
    stream, options = flag(parsed, "stream"), table(parsed, "stream_options")
    if options and not stream:
        raise Malformed(problem="'stream_options' needs 'stream': true", param="stream_options")
    return ModelRequest(
        endpoint=route.endpoint,
        model=model,
        body=parsed,
        stream=stream,
        output_cap=checks.cap_of(parsed),
        choices=checks.choices_of(parsed),
        tier=checks.tier_of(parsed),
        cache_ttl_long=checks.asks_long_cache(body, parsed),
        wants_usage=flag(options, "include_usage"),
        extra_output_tokens=checks.predicted_tokens(parsed),
        hidden=checks.hidden_input(parsed, growth),
        user=word(parsed, "user") or word(parsed, "safety_identifier"),
        facts=facts_of(body, parsed, system=checks.system_contents(parsed)),
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id, a pinned tier, usage in streams; the output bound comes with send()."""
    body = {
        name if name not in CAP_FIELDS else _read_as(name, target): value
        for name, value in request.body.items()
        if value is not None or name not in CAP_FIELDS
    }
    body["model"] = target.model
    checks.pin_tier(body, target)
    checks.check_refused(body, target)
    checks.ask_for_usage(body, request, target)
    body.update(target.added)
    sent = orjson.dumps(body)
    images = (target.traits.image_tokens or image_tokens)(target.model, request.hidden.images)
    return Outgoing(
        request=request,
        target=target,
        body=sent,
        input_tokens=input_tokens(len(sent), request.hidden, images) + target.traits.template_tokens,
        cap_field=_cap_field(request, target),
        cap_aliases=CAP_FIELDS,
    )


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a whole answer."""
    return meter_answer(request, body)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """A meter that also hides usage from a client that did not ask for it."""
    return ChatMeter(request)


def _cap_field(request: ModelRequest, target: Target) -> str:
    for field in CAP_FIELDS:
        if request.body.get(field) is not None:
            return _read_as(field, target)
    return target.traits.cap_field


def _read_as(name: str, target: Target) -> str:
    """The name under which a provider reads a field. OpenAI reads both of the bound; others may know one alone.

    What they do not know they ignore, and then nothing would bound the answer.
    """
    return target.traits.cap_field if name in CAP_FIELDS and not target.traits.pins_tier else name
