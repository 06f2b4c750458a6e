"""A provider's usage report, of any surface, as disjoint buckets: which number is part of which other."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from accounts.presets import PRESETS
from agents.pricing import Circumstances, Usage
from proxy.providers.anthropic import usage as usage_anthropic
from proxy.providers.counting import UsageUnreadable
from proxy.providers.gemini import usage as usage_gemini
from proxy.providers.openai import usage as usage_openai
from proxy.providers.traits import Traits

__all__ = ["UsageUnreadable", "ignored_cost", "read_usage", "served_tier"]

Reader = Callable[[Mapping[str, Any], Mapping[str, Any]], Usage]

# What the usual tier is called: on_demand at Groq, which names it in every answer.
_USUAL_TIERS = ("", "auto", "standard", "standard_only", "unspecified", "on_demand")
TIER_NAMES = dict.fromkeys(_USUAL_TIERS, "default") | {"fast": "priority"}
_HEADER_TIERS = {"standard": "default", "flex": "flex", "priority": "priority"}
GEO_NAMES = {"": "global", "not_available": "global"}

# Who states a bill, in a unit that we know; what anybody else calls cost is not money (metering.md M7).
COST_REPORTERS = frozenset(preset.slug for preset in PRESETS.values() if preset.reports_cost)
COST_KEYS = frozenset({"cost", "cost_in_usd_ticks", "cost_details"})
FLAG_COST_IGNORED = "provider_cost_ignored"

_BY_ENDPOINT: dict[str, Reader] = {
    "responses": usage_openai.read_responses,
    "images": usage_openai.read_images,
    "transcription": usage_openai.read_transcription,
    "speech": usage_openai.read_speech,
    "realtime": usage_openai.read_realtime,
}


def read_usage(
    provider: str, endpoint: str, usage: Mapping[str, Any], context: Mapping[str, Any]
) -> tuple[Usage, Circumstances]:
    """Read a usage object; raises UsageUnreadable when a mandatory number is missing or impossible.

    provider: who answered; for a custom provider the slug of its preset. endpoint: "chat", "responses", "messages",
    "generateContent", …
    context: what is not inside `usage`: tier, speed, geo_mult, tool_calls, any_1h_ttl, billed.
    """
    circumstances = _circumstances(usage, context)
    if provider not in COST_REPORTERS and not COST_KEYS.isdisjoint(usage):
        usage = {key: value for key, value in usage.items() if key not in COST_KEYS}
    try:
        return _reader(provider, endpoint, usage)(usage, context), circumstances
    except UsageUnreadable:
        if circumstances.billed:
            raise
        # What is not billed need not be counted exactly.
        return Usage(), circumstances


def served_tier(traits: Traits, headers: Mapping[str, str]) -> str:
    """The tier that an answer's headers name in the price book's words; empty where they name none that we know."""
    return _HEADER_TIERS.get(headers.get(traits.tier_header, "").lower(), "") if traits.tier_header else ""


def ignored_cost(provider: str, usage: Mapping[str, Any]) -> tuple[str, ...]:
    """The flag of an answer that states a cost which nobody can read."""
    if provider in COST_REPORTERS or COST_KEYS.isdisjoint(usage):
        return ()
    return (FLAG_COST_IGNORED,) if any(usage.get(key) for key in COST_KEYS) else ()


def _reader(provider: str, endpoint: str, usage: Mapping[str, Any]) -> Reader:
    if "usageMetadata" in usage or "promptTokenCount" in usage:
        return usage_gemini.read_generate_content
    if provider == "anthropic":
        return usage_anthropic.read_messages
    reader = _BY_ENDPOINT.get(endpoint)
    if reader is not None:
        return reader
    return usage_openai.read_embeddings if endpoint == "embeddings" else usage_openai.read_chat


def _circumstances(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Circumstances:
    tier = _word(context.get("tier") or usage.get("service_tier"))
    speed = _word(usage.get("speed") or context.get("speed"))
    geo = _word(usage.get("inference_geo") or context.get("geo"))
    multiplier = context.get("geo_mult")
    return Circumstances(
        tier=TIER_NAMES.get(tier, tier),
        speed=speed or "standard",
        geo=GEO_NAMES.get(geo, geo),
        geo_multiplier=None if multiplier is None else Fraction(str(multiplier)),
        billed=context.get("billed", True) is not False,
    )


def _word(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""
