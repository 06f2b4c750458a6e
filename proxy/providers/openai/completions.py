"""OpenAI's legacy completions: a prompt or many, each continued as often as the largest of `n` and `best_of` says."""

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.bounds import Hidden, input_tokens
from proxy.errors import Dialect, Malformed, UnboundedCall
from proxy.headers import check_betas
from proxy.providers.endpoints import Endpoint, Route
from proxy.providers.fingerprints import facts_of_prompt
from proxy.providers.metered import Metered, StreamMeter
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai import chat_checks as checks
from proxy.providers.openai.chat_stream import ChatMeter, meter_answer
from proxy.providers.openai.fields import check_json, check_unknown, texts_or_tokens
from proxy.providers.outgoing import Outgoing
from proxy.providers.parsing import flag, parse_object, required_word, table, whole_number, word
from proxy.providers.targets import Target

COMPLETIONS = Endpoint("completions", Dialect.OPENAI, "POST", "/v1/completions", "/completions")
ENDPOINTS = (COMPLETIONS,)

CAP_FIELD = "max_tokens"
# What the API takes where no bound is named; a longer answer would be a surprise, and a dearer one.
DEFAULT_CAP = 16
PROMPTS_MAX = 2_048
KNOWN = frozenset(
    {
        "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "min_p", "model", "n",
        "presence_penalty", "prompt", "repetition_penalty", "seed", "service_tier", "stop", "stream", "stream_options",
        "suffix", "temperature", "top_k", "top_p", "user",
    }
)  # fmt: skip


def read_request(route: Route, body: bytes, headers: Mapping[str, str]) -> ModelRequest:
    """Read and check a completion; raises the refusals of proxy.errors."""
    check_betas(headers, Dialect.OPENAI)
    check_json(headers)
    parsed, growth = parse_object(body)
    model = required_word(parsed, "model")
    check_unknown(parsed, KNOWN)
    stream, options = flag(parsed, "stream"), table(parsed, "stream_options")
    if options and not stream:
        raise Malformed(problem="'stream_options' needs 'stream': true", param="stream_options")
    prompt_count, spared_bytes = _prompts(parsed)
    return ModelRequest(
        endpoint=route.endpoint,
        model=model,
        body=parsed,
        stream=stream,
        output_cap=whole_number(parsed, CAP_FIELD, least=0, most=10**9),
        default_cap=DEFAULT_CAP,
        choices=_candidates(parsed) * prompt_count,
        tier=checks.tier_of(parsed),
        wants_usage=flag(options, "include_usage"),
        hidden=Hidden(media_bytes=spared_bytes, text_tokens=growth),
        user=word(parsed, "user"),
        facts=facts_of_prompt(body, parsed.get("prompt")),
    )


def prepare(request: ModelRequest, target: Target) -> Outgoing:
    """Serialise for a target: its model id, usage in streams; the output bound comes with send()."""
    body = {name: value for name, value in request.body.items() if value is not None or name != CAP_FIELD}
    body["model"] = target.model
    checks.check_refused(body, target)
    checks.ask_for_usage(body, request, target)
    sent = orjson.dumps({**body, **target.added})
    return Outgoing(
        request=request,
        target=target,
        body=sent,
        input_tokens=input_tokens(len(sent), request.hidden, 0) + target.traits.template_tokens,
        cap_field=CAP_FIELD,
    )


def read_answer(request: ModelRequest, body: bytes) -> Metered:
    """Meter a whole answer: it tells its usage as a chat completion does."""
    return meter_answer(request, body)


def stream_meter(request: ModelRequest) -> StreamMeter:
    """A meter that also hides usage from a client that did not ask for it."""
    return ChatMeter(request)


def _prompts(body: dict[str, Any]) -> tuple[int, int]:
    """How many prompts there are, and the bytes by which token ids are longer than their count."""
    prompt = body.get("prompt")
    if prompt is None:  # the API begins a document of its own
        return 1, 0
    count, spared_bytes = texts_or_tokens(prompt, "prompt")
    if count > PROMPTS_MAX:
        raise UnboundedCall(what=f"there are at most {PROMPTS_MAX} prompts in a call", param="prompt")
    return count, spared_bytes


def _candidates(body: dict[str, Any]) -> int:
    """How many answers are made for each prompt: those that `best_of` throws away are billed."""
    best_of = whole_number(body, "best_of", least=1, most=10**6) or 1
    if best_of > checks.CHOICES_MAX:
        raise UnboundedCall(what=f"best_of is at most {checks.CHOICES_MAX}", param="best_of")
    return max(best_of, checks.choices_of(body))
