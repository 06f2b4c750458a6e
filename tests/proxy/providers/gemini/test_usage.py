"""Gemini's reports of usage: what is a part of what."""

import pytest

from agents.pricing import Circumstances, Usage, cost_pico
from agents.pricing.rows import PriceRow, Rates, TierRates
from proxy.providers.usage import UsageUnreadable, read_usage

RATES = Rates(input=1_250_000, cache_read=625_000, output=10_000_000)
ROW = PriceRow("google", "gemini-2.5-pro", "row", "chat", {"default": TierRates(RATES)})
COMPATIBLE = {
    "total_tokens": 264_704,
    "prompt_tokens": 262_960,
    "completion_tokens": 1_744,
    "prompt_tokens_details": {"text_tokens": 262_960, "cached_tokens": 257_955},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
NATIVE = {
    "promptTokenCount": 262_960,
    "cachedContentTokenCount": 257_955,
    "candidatesTokenCount": 1_744,
    "totalTokenCount": 264_704,
}


@pytest.mark.parametrize(("endpoint", "usage"), [("chat", COMPATIBLE), ("generate_content", NATIVE)])
def test_cached_tokens_are_charged_once_in_both_forms(endpoint, usage):
    """B1: cache hits are a part of the prompt; $0.1849 and not $0.7642."""
    read, circumstances = read_usage("google", endpoint, usage, {})
    assert read == Usage(input=5_005, cache_read=257_955, output=1_744)
    assert cost_pico(ROW, read, circumstances) == 184_918_125_000
    assert circumstances == Circumstances()


def test_thoughts_and_tool_prompts_are_added_and_audio_is_apart():
    read, _ = read_usage(
        "google",
        "generate_content",
        {
            "promptTokenCount": 100,
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}, {"modality": "TEXT", "tokenCount": 70}],
            "toolUsePromptTokenCount": 9,
            "thoughtsTokenCount": 20,
            "totalTokenCount": 129,
            "serviceTier": "standard",
            "trafficType": "ON_DEMAND",
        },
        {},
    )
    assert read == Usage(input=79, audio_input=30, output=20, reasoning=20)


@pytest.mark.parametrize("usage", [{"usageMetadata": 5}, {"usageMetadata": {}}, {"promptTokenCount": None}])
def test_reports_of_another_shape_are_unreadable(usage):
    with pytest.raises(UsageUnreadable):
        read_usage("google", "generate_content", usage, {})
