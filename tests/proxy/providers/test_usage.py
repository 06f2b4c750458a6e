"""Each token of a report lands in exactly one bucket, on every surface; impossible reports are refused."""

import tracemalloc
from fractions import Fraction

import pytest

from agents.pricing import Usage
from proxy.providers.usage import UsageUnreadable, read_usage

CHAT = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
MESSAGE = {"input_tokens": 100, "output_tokens": 20}

CASES = [
    ("openai", "chat", CHAT, {}, Usage(input=100, output=20)),
    (
        "openai",
        "chat",
        CHAT | {"prompt_tokens_details": {"cached_tokens": 30, "cache_write_tokens": 10, "audio_tokens": 5}},
        {},
        Usage(input=55, cache_read=30, cache_write=10, audio_input=5, output=20),
    ),
    (
        "openai",
        "chat",
        CHAT
        | {"completion_tokens_details": {"reasoning_tokens": 8, "audio_tokens": 4, "rejected_prediction_tokens": 3}},
        {},
        Usage(input=100, output=16, audio_output=4, reasoning=8),
    ),
    (
        "google",
        "chat",
        {"prompt_tokens": 20, "completion_tokens": 198, "total_tokens": 623},
        {},
        Usage(input=20, output=603),
    ),
    ("openai", "embeddings", {"prompt_tokens": 8, "total_tokens": 8}, {}, Usage(input=8)),
    ("together", "embeddings", {"prompt_tokens": 8, "total_tokens": 508}, {}, Usage(input=508)),
    ("together", "embeddings", {"prompt_tokens": 8, "completion_tokens": 0}, {}, Usage(input=8)),
    (
        "openai",
        "responses",
        {
            "input_tokens": 100,
            "output_tokens": 9,
            "input_tokens_details": {
                "cached_tokens": 40,
                "cache_write_tokens": 30,
                "cache_write_tokens_details": {"ttl_12h_tokens": 20, "ttl_30m_tokens": 10},
            },
        },
        {"tool_calls": {"web_search": 2}},
        Usage(input=30, cache_read=40, cache_write=10, cache_write_long=20, output=9, tools={"web_search": 2}),
    ),
    (
        "openai",
        "realtime",
        {
            "input_tokens": 132,
            "output_tokens": 121,
            "input_token_details": {
                "text_tokens": 119,
                "audio_tokens": 13,
                "cached_tokens": 70,
                "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 6},
            },
            "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
        },
        {},
        Usage(input=55, cache_read=64, output=30, audio_input=7, audio_cache_read=6, audio_output=91),
    ),
    (
        "openai",
        "images",
        {"input_tokens": 40, "input_tokens_details": {"text_tokens": 40, "image_tokens": 0}, "output_tokens": 1056},
        {},
        Usage(input=40, image_output=1056),
    ),
    ("openai", "transcription", {"type": "duration", "seconds": 61.5}, {}, Usage(duration_ms=61_500)),
    ("openai", "speech", {"characters": 7}, {}, Usage(characters=7)),
    ("openai", "speech", {"input_tokens": 2, "output_tokens": 50}, {}, Usage(input=2, audio_output=50)),
    (
        "deepseek",
        "chat",
        CHAT | {"prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40},
        {},
        Usage(input=40, cache_read=60, output=20),
    ),
    (
        "xai",
        "responses",
        {
            "input_tokens": 35_493,
            "input_tokens_details": {"cached_tokens": 896},
            "output_tokens": 1_135,
            "output_tokens_details": {"reasoning_tokens": 708},
            "total_tokens": 36_628,
            "num_sources_used": 0,
            "num_server_side_tools_used": 0,
            "cost_in_usd_ticks": 462_629_500,
            "context_details": {"input_tokens": 35_493, "output_tokens": 1_135},
        },
        {},
        Usage(input=34_597, cache_read=896, output=1_135, reasoning=708, provider_cost_pico=46_262_950_000),
    ),
    (
        "xai",
        "chat",
        {"prompt_tokens": 32, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 94}},
        {},
        Usage(input=32, output=103, reasoning=94),
    ),
    (
        "xai",
        "responses",
        {"input_tokens": 32, "output_tokens": 9, "output_tokens_details": {"reasoning_tokens": 94}},
        {},
        Usage(input=32, output=103, reasoning=94),
    ),
    ("xai", "chat", CHAT | {"cost_in_usd_ticks": 5}, {}, Usage(input=100, output=20, provider_cost_pico=500)),
    (
        "openrouter",
        "chat",
        CHAT | {"cost": 4e-05, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.00078}},
        {},
        Usage(input=100, output=20, provider_cost_pico=820_000_000),
    ),
    (
        "anthropic",
        "messages",
        MESSAGE | {"cache_read_input_tokens": 7, "cache_creation_input_tokens": 5},
        {},
        Usage(input=100, cache_read=7, cache_write=5, output=20),
    ),
    (
        "anthropic",
        "messages",
        MESSAGE | {"cache_creation_input_tokens": 5},
        {"any_1h_ttl": True},
        Usage(input=100, cache_write_long=5, output=20),
    ),
    (
        "anthropic",
        "messages",
        MESSAGE
        | {
            "cache_creation_input_tokens": 9,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 6},
            "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 4},
        },
        {},
        Usage(input=100, cache_write=3, cache_write_long=6, output=20, tools={"web_search": 3}),
    ),
    (
        "anthropic",
        "messages",
        MESSAGE | {"iterations": [{"type": "message"} | MESSAGE, {"type": "compaction"} | MESSAGE]},
        {},
        Usage(input=200, output=40),
    ),
    (
        "google",
        "generateContent",
        {
            "usageMetadata": {
                "promptTokenCount": 100,
                "cachedContentTokenCount": 40,
                "toolUsePromptTokenCount": 5,
                "candidatesTokenCount": 7,
                "thoughtsTokenCount": 3,
                "totalTokenCount": 115,
                "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
            }
        },
        {},
        Usage(input=59, cache_read=36, audio_input=6, audio_cache_read=4, output=10, reasoning=3),
    ),
]


@pytest.mark.parametrize(("provider", "endpoint", "usage", "context", "expected"), CASES)
def test_each_surface_fills_disjoint_buckets(provider, endpoint, usage, context, expected):
    assert read_usage(provider, endpoint, usage, context)[0] == expected


def test_stream_report_takes_the_last_number_and_adds_nothing():
    usage = {"message_start": {"input_tokens": 25, "output_tokens": 1}, "message_delta": {"output_tokens": 15}}
    assert read_usage("anthropic", "messages", usage, {})[0] == Usage(input=25, output=15)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"prompt_tokens": 5},
        {"prompt_tokens": 5, "total_tokens": 4},
        {"prompt_tokens": -1, "completion_tokens": 2},
        {"prompt_tokens": 10**15, "completion_tokens": 2},
        {"prompt_tokens": True, "completion_tokens": 2},
        {"prompt_tokens": "5", "completion_tokens": 2},
        {"prompt_tokens": 5.5, "completion_tokens": 2},
        CHAT | {"prompt_tokens_details": {"cached_tokens": 101}},
        CHAT | {"prompt_tokens_details": [1]},
    ],
)
def test_missing_or_impossible_numbers_are_refused_rather_than_read_as_zero(usage):
    with pytest.raises(UsageUnreadable):
        read_usage("openai", "chat", usage, {})


@pytest.mark.parametrize(
    ("provider", "stated"),
    [("openrouter", {"cost": -0.1}), ("openrouter", {"cost": "free"}), ("xai", {"cost_in_usd_ticks": "many"})],
)
def test_a_bill_that_cannot_be_read_is_refused_where_the_provider_is_known_to_state_one(provider, stated):
    with pytest.raises(UsageUnreadable):
        read_usage(provider, "chat", CHAT | stated, {})


@pytest.mark.parametrize(
    "usage",
    [
        {},
        {"input_tokens": 1},
        MESSAGE | {"cache_creation": {"ephemeral_1h_input_tokens": -2}},
        MESSAGE | {"iterations": 1},
        MESSAGE | {"iterations": [1]},
        MESSAGE | {"iterations": [{"type": []} | MESSAGE]},
    ],
)
def test_anthropic_reports_must_be_whole(usage):
    with pytest.raises(UsageUnreadable):
        read_usage("anthropic", "messages", usage, {})


def test_unknown_keys_that_look_like_money_are_named():
    usage = CHAT | {"warp_tokens": 3, "prompt_tokens_details": {"psychic_tokens": 1}, "note": "hello", "extra_cost": 0}
    assert read_usage("openai", "chat", usage, {})[0].unknown_keys == (
        "warp_tokens",
        "prompt_tokens_details.psychic_tokens",
    )


def test_names_of_unknown_keys_stay_few_and_short_whatever_a_report_holds():
    """A long name before many keys would fill the memory that all organisations share."""
    many = {f"{number}_tokens": 1 for number in range(10_000)}
    tracemalloc.start()
    keys = read_usage("openai", "chat", CHAT | {"x" * 100_000: many}, {})[0].unknown_keys
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 1 <= len(keys) <= 16
    assert max(map(len, keys)) <= 128
    assert peak_bytes < 10 * 2**20


def test_an_advisor_iteration_cannot_be_priced_and_is_flagged():
    usage = MESSAGE | {"iterations": [{"type": "advisor_message"} | MESSAGE]}
    assert read_usage("anthropic", "messages", usage, {})[0].unknown_keys == ("iterations.advisor_message",)


def test_attempts_beyond_the_top_level_are_the_bill_and_cannot_be_priced():
    """metering.md 1.1: with fallbacks of the provider's own, the top level is only the serving attempt."""
    usage = MESSAGE | {"iterations": [{"type": "message"} | MESSAGE, {"type": "message"} | MESSAGE]}
    read, _ = read_usage("anthropic", "messages", usage, {})
    assert (read.input, read.unknown_keys) == (100, ("iterations.message",))
    whole = {"input_tokens": 200, "output_tokens": 40, "iterations": usage["iterations"]}
    assert read_usage("anthropic", "messages", whole, {})[0].unknown_keys == ()


@pytest.mark.parametrize(
    ("split", "asked_long", "short", "long"),
    [
        ({}, False, 30, 0),
        ({}, True, 0, 30),
        ({"ttl_30m_tokens": 10}, True, 10, 20),
        ({"ttl_12h_tokens": 20, "ttl_30m_tokens": 10}, False, 10, 20),
        ({"ttl_12h_tokens": 0, "ttl_30m_tokens": 30}, True, 30, 0),
    ],
)
@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_cache_writes_of_twelve_hours_are_told_apart_wherever_they_are_told(endpoint, split, asked_long, short, long):
    names = ("prompt_tokens", "completion_tokens") if endpoint == "chat" else ("input_tokens", "output_tokens")
    details = {"cache_write_tokens": 30, "cache_write_tokens_details": split}
    usage = {names[0]: 100, names[1]: 5, f"{names[0]}_details": details}
    read, _ = read_usage("openai", endpoint, usage, {"any_12h_ttl": asked_long})
    assert (read.input, read.cache_write, read.cache_write_long) == (70, short, long)


def test_a_bill_in_ticks_counts_on_responses_too():
    usage = {"input_tokens": 100, "output_tokens": 5, "cost_in_usd_ticks": 7}
    assert read_usage("xai", "responses", usage, {})[0].provider_cost_pico == 700


@pytest.mark.parametrize("ticks", [10**10, 10**10 + 1, 10**16 - 1])
def test_a_bill_in_ticks_may_be_more_than_a_dollar(ticks):
    assert read_usage("xai", "chat", CHAT | {"cost_in_usd_ticks": ticks}, {})[0].provider_cost_pico == ticks * 100


@pytest.mark.parametrize("ticks", [-1, 10**16, 0.5, True])
def test_ticks_beyond_a_million_dollars_or_in_parts_are_no_bill(ticks):
    with pytest.raises(UsageUnreadable):
        read_usage("xai", "chat", CHAT | {"cost_in_usd_ticks": ticks}, {})


@pytest.mark.parametrize(("audio", "cached", "audio_cached"), [(100, 40, 40), (60, 40, 0), (80, 40, 20), (100, 0, 0)])
def test_what_gemini_does_not_tell_apart_is_cached_text_as_far_as_there_is_text(audio, cached, audio_cached):
    usage = {
        "promptTokenCount": 100, "cachedContentTokenCount": cached, "candidatesTokenCount": 1,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": audio}],
    }  # fmt: skip
    read, _ = read_usage("google", "generateContent", {"usageMetadata": usage}, {})
    assert (read.audio_cache_read, read.audio_input) == (audio_cached, audio - audio_cached)
    assert read.total_input == 100


def test_circumstances_come_from_the_report_and_from_the_context():
    usage = MESSAGE | {"service_tier": "standard", "speed": "fast", "inference_geo": "us"}
    _, circumstances = read_usage("anthropic", "messages", usage, {"geo_mult": "1.1"})
    assert (circumstances.tier, circumstances.speed, circumstances.geo) == ("default", "fast", "us")
    assert circumstances.geo_multiplier == Fraction(11, 10)
    assert read_usage("openai", "chat", CHAT, {"tier": "fast"})[1].tier == "priority"
    assert read_usage("openai", "chat", CHAT, {"tier": "ultrafast"})[1].tier == "ultrafast"


def test_what_is_not_billed_need_not_be_complete():
    usage, circumstances = read_usage("anthropic", "count_tokens", {"input_tokens": 2095}, {"billed": False})
    assert (usage, circumstances.billed) == (Usage(), False)
