"""Which fields of a chat completion move its price, and what becomes of them."""

import re
from typing import Any

from proxy.bounds import CAP_MAX, Hidden, Image, argument_tokens, nfkc_growth, schema_tokens
from proxy.errors import Malformed, UnboundedCall, UnpricedFeature
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai.vision import image_of_url
from proxy.providers.parsing import (
    are_objects,
    check_spelling,
    has_escapes,
    objects,
    required_word,
    table,
    whole_number,
    word,
)
from proxy.providers.targets import Target

CHOICES_MAX = 8

# Fields whose price is known: none, or bounded by the output cap, or read elsewhere in this file.
KNOWN = frozenset(
    {
        "messages",
        "model",
        "frequency_penalty",
        "presence_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "modalities",
        "audio",
        "web_search_options",
        "top_k",
        "min_p",
        "repetition_penalty",
        "reasoning_format",
        "include_reasoning",
        "extra_body",
    }
)
# Those that nobody need look at.
_PLAIN = KNOWN - {
    "web_search_options",
    "modalities",
    "audio",
    "prompt_cache_options",
    "prompt_cache_retention",
    "extra_body",
    "tools",
}
# A field we do not know passes, unless its name says that it could add work or change who does it.
SUSPICIOUS = re.compile(
    r"tier|speed|priorit|background|cache|tool|search|plugin|fallback|rout|model|batch|mode|modal|audio|voice|image"
    r"|video|media|file|document|container|server|conversation|thread|session|previous|prompt|compact|context|billing"
    r"|credit|geo|region|residency|agent|best_of|sampl|candidate|choices|quality|resolution|reasoning|provider|preset"
    r"|transform|ultra|mcp|web|citation|advis|iteration|google|template(?!_kwargs)|pixels|processor"
    # Other names of the output bound and of `n`: llama.cpp lets them overrule those that we know.
    r"|max_|predict|cmpl|num_|beam|messages",
    re.IGNORECASE,
)
# What of the arguments of a chat template says what it writes: vLLM lets them overrule the template and its texts.
_RENDERED = re.compile(r"template|document|tool|message|conversation", re.IGNORECASE)
TIERS = {
    None: "default",
    "auto": "default",
    "default": "default",
    "on_demand": "default",
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",
}
# What is read of messages, of their parts and of tools.
_MESSAGE_NAMES = frozenset({"role", "content", "audio", "images"})
# Of a message whose content is a text, these say nothing that its bytes do not bound.
_TEXT_MESSAGE_NAMES = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal"})
_CALLS = ("tool_calls", "function_call")
_PART_NAMES = frozenset({"type", "text", "refusal", "image_url", "input_audio", "file", "video_url", "audio_url"})
_IMAGE_NAMES = frozenset({"url", "detail"})
_TOOL_NAMES = frozenset({"type", "function", "custom"})
_TEXT_PARTS = {"text": "text", "refusal": "refusal"}
_CACHE_KEYS = frozenset({"mode", "ttl"})
# What of Google's own fields, which its compatible form takes there, is bounded by the output cap.
_GOOGLE_KEYS = frozenset({"thinking_config", "thought_tag_marker"})


def check_fields(body: dict[str, Any]) -> None:
    """Refuse every field that could move the price in a way we do not count."""
    if body.keys() <= _PLAIN:
        return
    check_spelling(body, KNOWN)
    for name in body.keys() - KNOWN:
        if SUSPICIOUS.search(name) and body[name] is not None:
            raise UnpricedFeature(feature=f"the field '{name}'", param=name)
    check_template(body)
    if body.get("web_search_options") is not None:
        # Nothing in the request bounds how often it searches.
        raise UnpricedFeature(feature="web search", param="web_search_options", hint="Leave web_search_options out.")
    modalities = body.get("modalities")
    if body.get("audio") is not None or (modalities is not None and modalities != ["text"]):
        raise UnpricedFeature(feature="audio", param="modalities", hint='Ask for modalities ["text"].')
    cache = table(body, "prompt_cache_options")
    if not cache.keys() <= _CACHE_KEYS or cache.get("ttl") not in (None, "30m"):
        raise UnpricedFeature(feature="these prompt cache options", param="prompt_cache_options")
    if body.get("prompt_cache_retention") not in (None, "in_memory", "24h"):
        raise UnpricedFeature(feature="this prompt cache retention", param="prompt_cache_retention")
    extra = table(body, "extra_body")
    if not (extra.keys() <= {"google"} and table(extra, "google").keys() <= _GOOGLE_KEYS):
        raise UnpricedFeature(feature="these fields", param="extra_body", hint="Only google.thinking_config passes.")
    for tool in objects(body, "tools"):
        check_spelling(tool, _TOOL_NAMES, "tools.")
        if tool.get("type") not in ("function", "custom"):
            raise UnpricedFeature(feature=f"the hosted tool {tool.get('type')!r}", param="tools")


def check_template(body: dict[str, Any]) -> None:
    """Refuse arguments for a chat template that change what it writes, which the body's bytes then do not bound."""
    arguments = table(body, "chat_template_kwargs")
    for name in arguments:
        if _RENDERED.search(name) and arguments[name] is not None:
            raise UnpricedFeature(feature=f"the template argument '{name[:100]}'", param="chat_template_kwargs")


def check_refused(body: dict[str, Any], target: Target) -> None:
    """Refuse what the provider that answers would do out of our sight."""
    for name in sorted(target.traits.refused_fields):
        if body.get(name):
            raise UnpricedFeature(feature=f"the field '{name}' of {target.provider}", param=name)


def pin_tier(body: dict[str, Any], target: Target) -> None:
    """Name the usual tier: left out, the provider's project setting decides, and that may be the dearer one."""
    if target.traits.pins_tier and body.get("service_tier") in (None, "auto"):
        body["service_tier"] = "default"


def ask_for_usage(body: dict[str, Any], request: ModelRequest, target: Target) -> None:
    """Let a stream end with its usage, where the provider knows the option (metering.md section 1.4)."""
    if not target.traits.takes_stream_options:
        body.pop("stream_options", None)
    elif request.stream and not request.wants_usage:
        body["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}


def tier_of(body: dict[str, Any]) -> str:
    """The requested service tier in the price book's words."""
    asked = word(body, "service_tier")
    tier = TIERS.get(asked)
    if tier is None:
        raise UnpricedFeature(feature=f"the service tier {asked!r}", param="service_tier")
    return tier


def asks_long_cache(body: bytes, parsed: dict[str, Any]) -> bool:
    """Whether a cache lifetime beyond the usual is asked for anywhere, of the whole request or of a part.

    OpenAI's is of twelve hours; who passes `cache_control` on to Claude takes one of an hour, too.
    """
    return (b'"12h"' in body or b'"cache_control"' in body or has_escapes(body)) and _holds_long_ttl(parsed)


def _holds_long_ttl(value: Any) -> bool:
    if isinstance(value, dict):
        control = value.get("cache_control")
        asked = control.get("ttl") if isinstance(control, dict) else None
        return asked not in (None, "5m") or value.get("ttl") == "12h" or any(map(_holds_long_ttl, value.values()))
    return isinstance(value, list) and any(map(_holds_long_ttl, value))


def cap_of(body: dict[str, Any]) -> int | None:
    """The client's own output bound for one choice, under either of its names."""
    cap = whole_number(body, "max_completion_tokens", least=1, most=CAP_MAX)
    older = whole_number(body, "max_tokens", least=1, most=CAP_MAX)
    if cap is None or older is None:
        return older if cap is None else cap
    if cap != older:
        raise Malformed(problem="'max_tokens' and 'max_completion_tokens' differ", param="max_tokens")
    return cap


def choices_of(body: dict[str, Any]) -> int:
    """How many answers are asked for."""
    value = whole_number(body, "n", least=1, most=10**6) or 1
    if value > CHOICES_MAX:
        raise UnboundedCall(what=f"n is at most {CHOICES_MAX}", param="n")
    return value


def predicted_tokens(body: dict[str, Any]) -> int:
    """Rejected prediction tokens are billed as output; their bytes bound them."""
    if body.get("prediction") is None:
        return 0
    content = table(body, "prediction").get("content")
    texts = [content] if isinstance(content, str) else [part.get("text") for part in _parts(content, "prediction")]
    known = [text for text in texts if isinstance(text, str)]
    return sum(len(text.encode()) for text in known) + nfkc_growth(known)


def hidden_input(body: dict[str, Any], growth: int) -> Hidden:
    """What the messages and tools hold beyond their bytes; refuses what cannot be bounded."""
    messages = objects(body, "messages")
    if not messages:
        raise Malformed(problem="'messages' must be a list with at least one message", param="messages")
    images: list[Image] = []
    media_bytes, text = 0, growth
    for index, message in enumerate(messages):
        for name in _CALLS:
            if name in message:
                text += argument_tokens(message[name])
        if not (isinstance(message.get("content"), str) and message.keys() <= _TEXT_MESSAGE_NAMES):
            media_bytes += _read_message(message, f"messages[{index}]", images)
    for name in ("tools", "functions", "response_format"):
        if schema := body.get(name):
            text += schema_tokens(schema)
    return Hidden(media_bytes=media_bytes, text_tokens=text, images=tuple(images))


def system_contents(body: dict[str, Any]) -> list[Any]:
    """The contents of system and developer messages."""
    return [m.get("content") for m in objects(body, "messages") if m.get("role") in ("system", "developer")]


def _read_message(message: dict[str, Any], path: str, images: list[Image]) -> int:
    """Check a message and gather its images; the bytes of base64 it holds."""
    check_spelling(message, _MESSAGE_NAMES, f"{path}.")
    if message.get("audio") is not None:
        raise UnboundedCall(what="an earlier audio answer is named by id", param=f"{path}.audio")
    return sum(
        _read_part(part, f"{path}.{name}[{at}]", images)
        for name in ("content", "images")  # the images of an earlier answer, as OpenRouter writes them
        if not isinstance(message.get(name), str)
        for at, part in enumerate(_parts(message.get(name), path))
    )


def _read_part(part: dict[str, Any], path: str, images: list[Image]) -> int:
    check_spelling(part, _PART_NAMES, f"{path}.")
    kind = part.get("type")
    if isinstance(kind, str) and kind in _TEXT_PARTS:
        return 0
    if kind == "input_audio":
        raise UnpricedFeature(feature="audio input", param=path)
    if kind != "image_url":
        raise UnboundedCall(what=f"a content part of type {kind!r}", param=path, hint="Send text or images.")
    source = table(part, "image_url")
    check_spelling(source, _IMAGE_NAMES, f"{path}.image_url.")
    detail = word(source, "detail") or "auto"
    image, data_bytes = image_of_url(required_word(source, "url"), detail=detail, param=path)
    images.append(image)
    return data_bytes


def _parts(content: Any, path: str) -> list[dict[str, Any]]:
    if content is None:
        return []
    if not are_objects(content):
        raise Malformed(problem=f"the content of {path} must be a string or a list of parts", param=path)
    return content
