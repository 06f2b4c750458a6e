"""How meters of this kind miscount money (scenarios B), on the arithmetic itself: usage in, cost out."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from agents.money import PICO_PER_USD, parse_usd, usd_exact
from agents.pricebook import PriceBook, UnpricedModel
from agents.pricing import Circumstances, cost_pico, settle
from agents.pricing.usage import Usage
from proxy.providers.endpoints import Route
from proxy.providers.metered import Basis
from proxy.providers.openai import chat
from proxy.providers.usage import UsageUnreadable, read_usage

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
BOOK = PriceBook.load()
CENT = PICO_PER_USD // 100


def cost(provider: str, endpoint: str, model: str, usage: dict[str, Any], **context: Any) -> str:
    """What the book makes of a usage object, in dollars."""
    return usd_exact(cost_pico(BOOK.row(provider, model, NOW), *read_usage(provider, endpoint, usage, context)))


GEMINI_CACHED = {
    "total_tokens": 264_704, "prompt_tokens": 262_960, "completion_tokens": 1_744,
    "prompt_tokens_details": {"text_tokens": 262_960, "cached_tokens": 257_955},
    "completion_tokens_details": {"reasoning_tokens": 0},
}  # fmt: skip


def test_geminis_cached_tokens_are_charged_once() -> None:
    """Scenario B1: at the rates of the complaint, $0.1849 and not $0.7642."""
    rates = {"input": "1.25", "cache_read": "0.625", "output": "10"}
    row = {"provider": "google", "models": ["gemini-2.5-pro"], "kind": "chat", "rates": rates}
    book = BOOK.with_rows([row], version="then")
    priced = cost_pico(book.row("google", "gemini-2.5-pro", NOW), *read_usage("google", "chat", GEMINI_CACHED, {}))
    assert abs(priced - parse_usd("0.1849")) <= CENT // 100
    # Natively the same tokens have other names; and the book of today prices them as a long context.
    native = {"promptTokenCount": 262_960, "cachedContentTokenCount": 257_955, "candidatesTokenCount": 1_744}
    assert (
        cost("google", "chat", "gemini-2.5-pro", GEMINI_CACHED)
        == cost("google", "generateContent", "gemini-2.5-pro", {"usageMetadata": native})
        == usd_exact(5_005 * 2_500_000 + 257_955 * 250_000 + 1_744 * 15_000_000)
    )


def test_cached_input_has_its_own_price() -> None:
    """Scenario B2: $0.34 and not $1.68."""
    usage = {
        "prompt_tokens": 51_232 + 1_188_096, "completion_tokens": 12_909, "total_tokens": 1_252_237,
        "prompt_tokens_details": {"cached_tokens": 1_188_096},
    }  # fmt: skip
    assert cost("openai", "chat", "gpt-5", usage) == "0.341642"


def test_cache_writes_of_a_stream_are_not_billed_as_input_too() -> None:
    """Scenario B3: $1.06376125 and not $1.8598."""
    start = {
        "input_tokens": 6,
        "cache_creation_input_tokens": 159_217,
        "cache_read_input_tokens": 0,
        "output_tokens": 2,
    }
    stream = {"message_start": start, "message_delta": {"output_tokens": 2_745}}
    assert cost("anthropic", "messages", "claude-opus-4-5", stream) == "1.06376125"


@pytest.mark.parametrize(
    ("provider", "endpoint", "usage"),
    [
        ("openai", "chat", {
            "prompt_tokens": 1_000, "completion_tokens": 50, "total_tokens": 1_050,
            "prompt_tokens_details": {"cached_tokens": 600}}),
        ("openai", "responses", {
            "input_tokens": 1_000, "output_tokens": 50, "total_tokens": 1_050,
            "input_tokens_details": {"cached_tokens": 600}}),
        ("anthropic", "messages", {"input_tokens": 400, "cache_read_input_tokens": 600, "output_tokens": 50}),
        ("google", "generateContent", {"usageMetadata": {
            "promptTokenCount": 1_000, "cachedContentTokenCount": 600, "candidatesTokenCount": 20,
            "thoughtsTokenCount": 30, "totalTokenCount": 1_050}}),
        ("google", "chat", {
            "prompt_tokens": 1_000, "completion_tokens": 20, "total_tokens": 1_050,
            "prompt_tokens_details": {"cached_tokens": 600}}),
        ("deepseek", "chat", {
            "prompt_tokens": 1_000, "completion_tokens": 50, "total_tokens": 1_050,
            "prompt_cache_hit_tokens": 600, "prompt_cache_miss_tokens": 400}),
        ("mistral", "chat", {
            "prompt_tokens": 1_000, "completion_tokens": 50, "total_tokens": 1_050,
            "prompt_tokens_details": {"cached_tokens": 600}}),
        ("xai", "chat", {
            "prompt_tokens": 1_000, "completion_tokens": 20, "total_tokens": 1_050,
            "prompt_tokens_details": {"cached_tokens": 600}, "completion_tokens_details": {"reasoning_tokens": 30}}),
    ],
)  # fmt: skip
def test_whatever_a_provider_calls_input_each_token_is_charged_once(
    provider: str, endpoint: str, usage: dict[str, Any]
) -> None:
    """Scenario B5: some count cached tokens inside the input and some beside it; the same work costs the same."""
    read, _ = read_usage(provider, endpoint, usage, {})
    assert (read.input, read.cache_read, read.output, read.total_tokens) == (400, 600, 50, 1_050)


@pytest.mark.parametrize("model", ["gpt-99", "gpt-4o-turbo", "claude-unknown-1"])
def test_a_model_without_a_row_has_no_price_rather_than_none(model: str) -> None:
    """Scenario B6."""
    for provider in ("openai", "anthropic", "google"):
        with pytest.raises(UnpricedModel):
            BOOK.settle_rows(provider, model, None, NOW, NOW)


@pytest.mark.parametrize(("factor", "booked"), [(100, 1), (1_000_000, 1), (50, 1), (49, 49), (3, 3), (1, 1)])
def test_a_bill_in_another_unit_does_not_count_and_is_flagged(factor: int, booked: int) -> None:
    """Scenario B8: a hundred times ours is cents for dollars; three times ours is a price that we do not know."""
    row, usage = BOOK.row("openai", "gpt-4o", NOW), Usage(input=1_000)
    ours = settle([row], usage, Circumstances()).cost_pico
    said = settle([row], Usage(input=1_000, provider_cost_pico=ours * factor), Circumstances())
    assert said.cost_pico == ours * booked
    assert said.flags == (() if factor == 1 else ("provider_cost_differs",))


def test_a_bill_for_what_costs_nothing_here_counts() -> None:
    """Scenario B8: where ours is nothing, there is nothing to hold the provider's bill against."""
    free = {"provider": "local", "models": ["m"], "kind": "chat", "rates": {"input": "0", "output": "0"}}
    row = BOOK.with_rows([free], version="x").row("local", "m", NOW)
    assert settle([row], Usage(input=5, provider_cost_pico=CENT), Circumstances()).cost_pico == CENT


@pytest.mark.parametrize(("served", "usd"), [("default", "0.003500"), ("priority", "0.005950"), (None, "0.003500")])
def test_the_tier_that_answered_prices_the_call(served: str | None, usd: str) -> None:
    """Scenario B9: whatever was asked for. Where the answer names none, the context of the call does."""
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
    assert cost("openai", "chat", "gpt-4o", usage, tier=served) == usd


@pytest.mark.parametrize(("asked", "served"), [("priority", "default"), ("default", "priority")])
def test_the_tier_is_that_of_the_answer_itself(asked: str, served: str) -> None:
    """Scenario B9."""
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "service_tier": asked}
    request = chat.read_request(Route(chat.CHAT), orjson.dumps(body), {})
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
    answer = {"id": "x", "model": "gpt-4o", "service_tier": served, "choices": [], "usage": usage}
    assert chat.read_answer(request, orjson.dumps(answer)).circumstances.tier == served


def test_a_long_context_prices_every_token_of_the_call() -> None:
    """Scenario B10: 585,659 tokens written to the cache."""
    usage = {"input_tokens": 0, "cache_creation_input_tokens": 585_659, "output_tokens": 1_000}
    assert cost("anthropic", "messages", "claude-sonnet-4-5", usage) == usd_exact(
        585_659 * 7_500_000 + 1_000 * 22_500_000
    )


TRANSCRIBERS = [model for model in BOOK.models("openai") if "transcribe" in model or "whisper" in model]
HEARD = {"type": "tokens", "input_tokens": 600, "output_tokens": 0, "input_token_details": {"audio_tokens": 600}}


@pytest.mark.parametrize("model", TRANSCRIBERS)
def test_no_transcription_is_free_because_its_output_is(model: str) -> None:
    """Scenario B11: 60 seconds cost 60 times the price of a second, and audio tokens their own."""
    rates = BOOK.row("openai", model, NOW).rates("default", 0)
    assert rates.hour
    minute = cost("openai", "transcription", model, {"type": "duration", "seconds": 60})
    assert minute == usd_exact(rates.hour // 60)
    if rates.audio_input:
        assert cost("openai", "transcription", model, HEARD) == usd_exact(600 * rates.audio_input)


@pytest.mark.parametrize(
    ("provider", "endpoint", "usage"),
    [
        ("openai", "chat", {
            "prompt_tokens": 100, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 101}}),
        ("openai", "responses", {
            "input_tokens": 100, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 101}}),
        ("openai", "chat", {
            "prompt_tokens": 100, "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 60}}),
        ("anthropic", "messages", {
            "input_tokens": 1, "output_tokens": 5, "cache_creation_input_tokens": 3,
            "cache_creation": {"ephemeral_1h_input_tokens": 4}}),
        ("anthropic", "messages", {"input_tokens": 1, "output_tokens": 5, "cache_read_input_tokens": -7}),
        ("google", "generateContent", {
            "usageMetadata": {"promptTokenCount": 100, "cachedContentTokenCount": 101, "candidatesTokenCount": 5}}),
    ],
)  # fmt: skip
def test_parts_larger_than_their_whole_never_make_a_credit(provider: str, endpoint: str, usage: dict[str, Any]) -> None:
    """Scenario B22: such a report is unreadable; the call is charged what was held for it, marked as an estimate."""
    with pytest.raises(UsageUnreadable):
        read_usage(provider, endpoint, usage, {})


def test_an_answer_with_more_cached_than_read_tells_no_bill_and_keeps_what_it_said() -> None:
    """Scenario B22: so its hold is charged, marked as an estimate, and a person can see why."""
    request = chat.read_request(Route(chat.CHAT), orjson.dumps({"model": "m", "messages": [{"role": "user"}]}), {})
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 11}}
    metered = chat.read_answer(request, orjson.dumps({"id": "x", "choices": [], "usage": usage}))
    assert (metered.usage, metered.basis, metered.raw_usage) == (None, Basis.NONE, usage)
    assert metered.problem == "prompt_tokens is smaller than its parts"
