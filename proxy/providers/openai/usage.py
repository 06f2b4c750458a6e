"""Usage in OpenAI's shapes, and what the compatible providers add to them."""

from collections.abc import Mapping
from decimal import Decimal
from math import ceil
from typing import Any

from agents.pricing import Usage
from proxy.providers.counting import Counts, UsageUnreadable, rest, whole

PICO_PER_XAI_TICK = 100  # 10**10 ticks are a dollar
DOLLARS_MAX = 10**6  # no call is so dear; also a bound for what the book can hold
TICKS_MAX = DOLLARS_MAX * 10**10 - 1
MS_PER_SECOND = 1000

# Times are not money; costs are read by _provider_cost; sources and tiers are told elsewhere; what of the tokens the
# context holds at the end (xAI) is not counted again.
_PROVIDER_EXTRAS = frozenset(
    {
        "cost",
        "cost_details",
        "is_byok",
        "cost_in_usd_ticks",
        "context_details",
        "num_sources_used",
        "server_tool_use_details",
        "queue_time",
        "prompt_time",
        "completion_time",
        "total_time",
        "service_tier",
        # Together repeats here what it read from its cache, a part of the prompt that costs the same.
        "cached_tokens",
    }
)
_TOTAL = frozenset({"total_tokens"})
_TEXT = frozenset({"text_tokens"})
# Image tokens of chat models are billed at the text rate, so they stay in `input`.
_TEXT_AND_IMAGE = frozenset({"text_tokens", "image_tokens"})
_PREDICTED = frozenset({"text_tokens", "accepted_prediction_tokens", "rejected_prediction_tokens"})


def read_chat(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Usage:
    """Chat and legacy completions, also of xAI, DeepSeek, Mistral, Groq, OpenRouter and Gemini's compatible form.

    Some of them leave thinking out of completion_tokens but not out of the total, hence the larger of the two.
    """
    counts = Counts(usage, ignored=_PROVIDER_EXTRAS)
    prompt = counts.required("prompt_tokens")
    total = counts.optional("total_tokens")
    completion = counts.optional("completion_tokens")
    if completion is None and (total is None or total < prompt):
        raise UsageUnreadable("completion_tokens", "is missing")
    details = counts.part("prompt_tokens_details", ignored=_TEXT_AND_IMAGE)
    out_details = counts.part("completion_tokens_details", ignored=_PREDICTED)
    cached, (written, written_long) = _cached(counts, details), _cache_written(details, context)
    hit, miss = counts.optional("prompt_cache_hit_tokens"), counts.count("prompt_cache_miss_tokens")
    if hit is not None:
        cached, prompt = hit, max(prompt, hit + miss)
    audio = details.count("audio_tokens")
    audio_output, image_output = out_details.count("audio_tokens"), out_details.count("image_tokens")
    reasoning = out_details.count("reasoning_tokens")
    output = _written(completion or 0, reasoning) if total is None else max(completion or 0, total - prompt)
    return Usage(
        input=rest(prompt, cached, written, written_long, audio, key="prompt_tokens"),
        cache_read=cached,
        cache_write=written,
        cache_write_long=written_long,
        output=rest(output, audio_output, image_output, key="completion_tokens"),
        audio_input=audio,
        audio_output=audio_output,
        image_output=image_output,
        reasoning=reasoning,
        tools=_tools(context),
        provider_cost_pico=_provider_cost(usage),
        unknown_keys=counts.unknown_keys(),
    )


def read_embeddings(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Usage:
    """Embeddings: input only; what is no text may stand in the total alone."""
    counts = Counts(usage, ignored=_PROVIDER_EXTRAS | {"prompt_tokens_details"})
    prompt = counts.required("prompt_tokens")
    read = max(prompt, counts.count("total_tokens") - counts.count("completion_tokens"))
    return Usage(input=read, provider_cost_pico=_provider_cost(usage), unknown_keys=counts.unknown_keys())


def read_responses(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Usage:
    """Responses: reads and writes are parts of the input; hosted tools are counted beside the usage object."""
    counts = Counts(usage, ignored=_PROVIDER_EXTRAS)
    total_input = counts.required("input_tokens")
    total_output = counts.required("output_tokens")
    total = counts.optional("total_tokens")
    details = counts.part("input_tokens_details", ignored=_TEXT_AND_IMAGE)
    out_details = counts.part("output_tokens_details", ignored=_TEXT)
    cached, (written, written_long) = details.count("cached_tokens"), _cache_written(details, context)
    reasoning = out_details.count("reasoning_tokens")
    return Usage(
        input=rest(total_input, cached, written, written_long, key="input_tokens"),
        cache_read=cached,
        cache_write=written,
        cache_write_long=written_long,
        output=_written(total_output, reasoning) if total is None else max(total_output, total - total_input),
        reasoning=reasoning,
        tools=_tools(context),
        provider_cost_pico=_provider_cost(usage),
        unknown_keys=counts.unknown_keys(),
    )


def read_images(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Usage:
    """Image generation and edits: what the output details do not call text is image."""
    counts = Counts(usage, ignored=_TOTAL)
    total_input, total_output = counts.required("input_tokens"), counts.required("output_tokens")
    details = counts.part("input_tokens_details", ignored=_TEXT)
    out_details = counts.part("output_tokens_details", ignored=_TEXT_AND_IMAGE)
    image, text = details.count("image_tokens"), out_details.count("text_tokens")
    cached, image_cached, _ = _cached_by_kind(details)
    return Usage(
        input=rest(total_input, image, cached, key="input_tokens"),
        cache_read=cached,
        image_input=rest(image, image_cached, key="image_tokens"),
        image_cache_read=image_cached,
        output=text,
        image_output=rest(total_output, text, key="output_tokens"),
        unknown_keys=counts.unknown_keys(),
    )


def read_transcription(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Usage:
    """Transcription, by duration or by tokens; a part of a second is charged as used."""
    counts = Counts(usage, ignored=_TOTAL | {"type", "seconds"})
    if usage.get("type") == "duration" or "seconds" in usage:
        return Usage(duration_ms=_milliseconds(usage.get("seconds")), unknown_keys=counts.unknown_keys())
    total_input = counts.required("input_tokens")
    details = counts.part("input_token_details", ignored=_TEXT)
    audio = details.count("audio_tokens")
    return Usage(
        input=rest(total_input, audio, key="input_tokens"),
        audio_input=audio,
        output=counts.required("output_tokens"),
        unknown_keys=counts.unknown_keys(),
    )


def read_speech(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Usage:
    """Speech: characters of the request, or text tokens in and audio tokens out."""
    counts = Counts(usage, ignored=_TOTAL if usage.get("characters") is None else ())
    characters = counts.optional("characters")
    if characters is not None:
        return Usage(characters=characters, unknown_keys=counts.unknown_keys())
    return Usage(
        input=counts.required("input_tokens"),
        audio_output=counts.required("output_tokens"),
        unknown_keys=counts.unknown_keys(),
    )


def read_realtime(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Usage:
    """Realtime: text, audio and image, each with its own cached part."""
    counts = Counts(usage, ignored=_TOTAL)
    total_input, total_output = counts.required("input_tokens"), counts.required("output_tokens")
    details = counts.part("input_token_details", ignored=_TEXT)
    out_details = counts.part("output_token_details", ignored=_TEXT)
    audio, image, audio_output = (
        details.count("audio_tokens"),
        details.count("image_tokens"),
        out_details.count("audio_tokens"),
    )
    cached, image_cached, audio_cached = _cached_by_kind(details)
    return Usage(
        input=rest(total_input, audio, image, cached, key="input_tokens"),
        cache_read=cached,
        output=rest(total_output, audio_output, key="output_tokens"),
        audio_input=rest(audio, audio_cached, key="audio_tokens"),
        audio_cache_read=audio_cached,
        audio_output=audio_output,
        image_input=rest(image, image_cached, key="image_tokens"),
        image_cache_read=image_cached,
        unknown_keys=counts.unknown_keys(),
    )


def _written(output: int, reasoning: int) -> int:
    """The output where no total is told: more thinking than output cannot be a part of it, so it was told beside it."""
    return output if reasoning <= output else output + reasoning


def _cached(counts: Counts, details: Counts) -> int:
    """Tokens read from the cache, in whichever of its three places Mistral tells them; the others have the first."""
    elsewhere = counts.part("prompt_token_details").count("cached_tokens")
    return max(details.count("cached_tokens"), elsewhere, counts.count("num_cached_tokens"))


def _cached_by_kind(details: Counts) -> tuple[int, int, int]:
    """Cached tokens of text, image and audio; those not split are text."""
    cached, split = details.count("cached_tokens"), details.part("cached_tokens_details", ignored=_TEXT)
    image, audio = split.count("image_tokens"), split.count("audio_tokens")
    return rest(max(cached, image + audio), image, audio, key="cached_tokens"), image, audio


def _cache_written(details: Counts, context: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens written to the cache for the short and for the long lifetime (metering.md 4.2).

    Where no split is told, all of them are long if the request asked for 12 hours anywhere.
    """
    written, split = details.count("cache_write_tokens"), details.part("cache_write_tokens_details")
    long, short = split.optional("ttl_12h_tokens"), split.count("ttl_30m_tokens")
    if long is None:
        long = max(0, written - short) if context.get("any_12h_ttl") else 0
    return max(written - long, short), long


def _tools(context: Mapping[str, Any]) -> dict[str, int]:
    calls: Mapping[str, Any] = context.get("tool_calls") or {}
    if not calls:
        return {}
    return {name: whole(count, f"tool_calls.{name}") for name, count in calls.items() if count}


def _provider_cost(usage: Mapping[str, Any]) -> int | None:
    """The provider's own bill in pico-dollars: xAI's ticks, or OpenRouter's dollars plus the upstream's."""
    ticks = usage.get("cost_in_usd_ticks")
    if ticks is not None:
        return whole(ticks, "cost_in_usd_ticks", most=TICKS_MAX) * PICO_PER_XAI_TICK
    if usage.get("cost") is None:
        return None
    cost_pico = _pico(usage["cost"], "cost")
    details = usage.get("cost_details")
    upstream = details.get("upstream_inference_cost") if isinstance(details, Mapping) else None
    if usage.get("is_byok") and upstream is not None:
        cost_pico += _pico(upstream, "cost_details.upstream_inference_cost")
    return cost_pico


def _pico(dollars: object, key: str) -> int:
    if isinstance(dollars, bool) or not isinstance(dollars, int | float) or not 0 <= dollars < DOLLARS_MAX:
        raise UsageUnreadable(key, "is not an amount of dollars")
    return ceil(Decimal(repr(dollars)) * 10**12)


def _milliseconds(seconds: object) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 10**7:
        raise UsageUnreadable("seconds", "is not a duration")
    return ceil(Decimal(repr(seconds)) * MS_PER_SECOND)
