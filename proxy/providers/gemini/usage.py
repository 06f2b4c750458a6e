"""Usage of Gemini's own form: thoughts and tool prompts are added, the cached part is not."""

from collections.abc import Mapping, Sequence
from typing import Any

from agents.pricing import Usage
from proxy.providers.counting import Counts, UsageUnreadable, rest, whole

_TOLD_APART = frozenset(
    {
        "promptTokensDetails",
        "cacheTokensDetails",
        "candidatesTokensDetails",
        "toolUsePromptTokensDetails",
        "serviceTier",
        "trafficType",
    }
)


def read_generate_content(usage: Mapping[str, Any], context: Mapping[str, Any]) -> Usage:
    """generateContent and its stream, whose last chunk holds the totals; also embeddings, which only read."""
    usage = usage.get("usageMetadata") or usage
    if not isinstance(usage, Mapping):
        raise UsageUnreadable("usageMetadata", "is not an object")
    counts = Counts(usage, ignored=_TOLD_APART)
    prompt, cached = counts.required("promptTokenCount"), counts.count("cachedContentTokenCount")
    tool_prompt, thoughts = counts.count("toolUsePromptTokenCount"), counts.count("thoughtsTokenCount")
    candidates, total = counts.count("candidatesTokenCount"), counts.count("totalTokenCount")
    audio = _of_modality(usage, "promptTokensDetails", "AUDIO")
    audio_cached = _of_modality(usage, "cacheTokensDetails", "AUDIO")
    audio_output = _of_modality(usage, "candidatesTokensDetails", "AUDIO")
    image_output = _of_modality(usage, "candidatesTokensDetails", "IMAGE")
    output = max(candidates + thoughts, total - prompt - tool_prompt)
    if audio_cached == 0 and not _told(usage, "cacheTokensDetails"):
        # Not told apart: what is cached is text as far as there is text, which is the dearer reading.
        audio_cached = min(audio, max(0, cached + audio - prompt - tool_prompt))
    audio_fresh = rest(audio, audio_cached, key="promptTokensDetails")
    return Usage(
        input=rest(prompt + tool_prompt, cached, audio_fresh, key="promptTokenCount"),
        cache_read=rest(cached, audio_cached, key="cachedContentTokenCount"),
        output=rest(output, audio_output, image_output, key="candidatesTokenCount"),
        audio_input=audio_fresh,
        audio_cache_read=audio_cached,
        audio_output=audio_output,
        image_output=image_output,
        reasoning=thoughts,
        unknown_keys=counts.unknown_keys(),
    )


def _of_modality(usage: Mapping[str, Any], key: str, modality: str) -> int:
    tokens = 0
    for part in _told(usage, key):
        if isinstance(part, Mapping) and part.get("modality") == modality:
            tokens += whole(part.get("tokenCount") or 0, key)
    return tokens


def _told(usage: Mapping[str, Any], key: str) -> Sequence[Any]:
    parts = (usage.get("usageMetadata") or usage).get(key) or ()
    return parts if isinstance(parts, list) else ()
