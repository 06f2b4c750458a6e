"""OpenAI's embeddings, also as compatible providers and Gemini's compatible form speak them: input only."""

from collections.abc import Mapping

import orjson

from proxy.bounds import Hidden, input_tokens
from proxy.errors import Dialect, Malformed
from proxy.headers import check_betas
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.fingerprints import facts_of_prompt
from proxy.providers.metered import Metered, StreamMeter
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai.chat_checks import check_refused
from proxy.providers.openai.fields import check_json, check_unknown, texts_or_tokens
from proxy.providers.openai.objects import NoStream, meter_object
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import parse_object, required_word, whole_number, word
from proxy.providers.targets import Target

EMBEDDINGS = Endpoint("embeddings", Dialect.OPENAI, "POST", "/v1/embeddings", "/embeddings")
ENDPOINTS = (EMBEDDINGS,)

ITEMS_MAX = 2_048
# What OpenAI's models read at most; it turns longer texts away. Other providers' limits are their own.
ITEM_TOKENS_MAX = 8_192
CALL_TOKENS_MAX = 300_000
KNOWN = frozenset({"dimensions", "encoding_format", "input", "model", "user"})


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read and check a request for embeddings; raises the refusals of proxy.errors."""
    check_betas(headers, Dialect.OPENAI)
    check_json(headers)
    parsed, growth = parse_object(body)
    model = required_word(parsed, "model")
    check_unknown(parsed, KNOWN)
    whole_number(parsed, "dimensions", least=1, most=10**6)
    item_count, spared_bytes = texts_or_tokens(parsed.get("input"), "input")
    if item_count > ITEMS_MAX:
        raise Malformed(problem=f"'input' holds at most {ITEMS_MAX} texts", param="input")
    return ModelRequest(
        endpoint=route.endpoint,
        model=model,
        body=parsed,
        output_cap=0,
        hidden=Hidden(media_bytes=spared_bytes, text_tokens=growth),
        user=word(parsed, "user"),
        facts=facts_of_prompt(body),  # the same text again is no loop
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id."""
    check_refused(request.body, target)
    sent = orjson.dumps({**request.body, "model": target.model, **target.added})
    tokens = input_tokens(len(sent), request.hidden, 0) + target.traits.template_tokens
    if target.provider == "openai":
        item_count, _ = texts_or_tokens(request.body["input"], "input")
        tokens = min(tokens, ITEM_TOKENS_MAX * item_count, CALL_TOKENS_MAX)
    return Outgoing(request=request, target=target, body=sent, input_tokens=tokens, cap_field="")


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter the answer."""
    return meter_object("embeddings", body, usage_of=request.usage_of)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """There are no streams of embeddings; whatever comes is charged at the ceiling."""
    return NoStream()
