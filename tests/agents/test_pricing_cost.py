import copy
import pickle
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest

from agents.pricebook import PriceBook
from agents.pricing import Circumstances, UnpricedFeature, Usage, cost_pico, settle

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
BOOK = PriceBook.load()
STANDARD = Circumstances()


def cost(provider: str, model: str, usage: Usage, circumstances: Circumstances = STANDARD, at: datetime = NOW) -> int:
    return cost_pico(BOOK.row(provider, model, at), usage, circumstances)


@pytest.mark.parametrize(
    ("provider", "model", "threshold", "short", "long"),
    [
        ("openai", "gpt-6.1-sol", 272_000, 2_000_000, 4_000_000),
        ("anthropic", "claude-haiku-5-5", 100_000, 100_000, 500_000),
        ("google", "gemini-3.1-pro-preview", 200_000, 2_000_000, 4_000_000),
        # xAI's threshold belongs to the long side.
        ("xai", "grok-4.7", 199_999, 2_000_000, 4_000_000),
    ],
)
def test_the_long_rate_starts_one_token_after_the_threshold_and_prices_all(
    provider: str, model: str, threshold: int, short: int, long: int
) -> None:
    assert cost(provider, model, Usage(input=threshold)) == threshold * short
    assert cost(provider, model, Usage(input=threshold + 1)) == (threshold + 1) * long


def test_cached_tokens_count_towards_the_threshold() -> None:
    short = cost("anthropic", "claude-haiku-5-5", Usage(input=1, cache_read=99_999))
    long = cost("anthropic", "claude-haiku-5-5", Usage(input=1, cache_read=99_999, cache_write=1))
    assert (short, long) == (100_000 + 99_999 * 10_000, 500_000 + 99_999 * 50_000 + 625_000)


@pytest.mark.parametrize(
    ("provider", "model", "change_at"),
    [
        ("google", "gemini-3.8-flash", datetime(2027, 1, 1, tzinfo=UTC)),
        ("google", "gemini-4-argon", datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_scheduled_price_starts_on_its_second(provider: str, model: str, change_at: datetime) -> None:
    usage = Usage(input=1_000, output=1_000)
    before = cost(provider, model, usage, at=change_at - timedelta(seconds=1))
    assert cost(provider, model, usage, at=change_at) == 2 * before


def test_a_fraction_of_a_pico_dollar_is_rounded_up_once() -> None:
    # 0.02 dollars per million is 20,000 pico a token; a third of three tokens is exact, of one it is not.
    third = Circumstances(geo_multiplier=Fraction(1, 3))
    assert cost("openai", "text-embedding-3-small", Usage(input=3), third) == 20_000
    assert cost("openai", "text-embedding-3-small", Usage(input=1), third) == 6_667
    assert cost("openai", "whisper-1", Usage(duration_ms=1)) == 100_000


def test_a_multiplier_is_on_tokens_and_not_on_fees() -> None:
    usage = Usage(output=1_000, tools={"web_search": 1, "web_fetch": 2})
    fast_us = Circumstances(speed="fast", geo="us")
    assert cost("anthropic", "claude-opus-5-5", usage, fast_us) == 44 * 10**9 + 10**10


def test_a_call_that_is_not_billed_costs_nothing_whatever_it_used() -> None:
    usage = Usage(input=5_000, tools={"crystal_ball": 1}, provider_cost_pico=7)
    assert cost("anthropic", "claude-opus-5-5", usage, Circumstances(billed=False)) == 0


@pytest.mark.parametrize(
    ("usage", "circumstances", "feature"),
    [
        (Usage(audio_input=1), STANDARD, "audio_input tokens"),
        (Usage(cache_write_long=1), STANDARD, "cache_write_long tokens"),
        (Usage(duration_ms=1), STANDARD, "duration"),
        (Usage(tools={"crystal_ball": 1}), STANDARD, "tool crystal_ball"),
        (Usage(), Circumstances(tier="ultrafast"), "service tier ultrafast"),
        (Usage(), Circumstances(speed="fast"), "speed fast"),
        (Usage(), Circumstances(geo="eu"), "region eu"),
    ],
)
def test_what_has_no_price_is_never_free(usage: Usage, circumstances: Circumstances, feature: str) -> None:
    with pytest.raises(UnpricedFeature) as unpriced:
        cost("openai", "gpt-4o", usage, circumstances)
    assert unpriced.value.name == feature


def test_the_dearest_row_settles_and_a_different_model_is_flagged() -> None:
    rows = BOOK.settle_rows("openai", "gpt-4o-mini", "gpt-4o-2024-08-06", NOW, NOW)
    settlement = settle(rows, Usage(input=1_000), STANDARD)
    assert (settlement.cost_pico, settlement.row_id) == (2_500_000_000, "openai/gpt-4o")
    assert settlement.flags == ("served_model_price_differs",)


def test_a_snapshot_of_the_same_price_is_not_flagged() -> None:
    rows = BOOK.settle_rows("openai", "gpt-4o", "gpt-4o-2024-08-06", NOW, NOW)
    assert settle(rows, Usage(input=1_000), STANDARD).flags == ()


@pytest.mark.parametrize(
    ("reported_pico", "booked_pico", "flags"),
    [
        (2_500_000_000, 2_500_000_000, ()),
        (2_450_000_000, 2_450_000_000, ()),
        (2_550_000_000, 2_550_000_000, ()),
        (2_449_999_999, 2_500_000_000, ("provider_cost_differs",)),
        (2_550_000_001, 2_550_000_001, ("provider_cost_differs",)),
    ],
)
def test_the_providers_bill_wins_within_two_per_cent_and_the_larger_beyond(
    reported_pico: int, booked_pico: int, flags: tuple[str, ...]
) -> None:
    rows = [BOOK.row("openai", "gpt-4o", NOW)]
    settlement = settle(rows, Usage(input=1_000, provider_cost_pico=reported_pico), STANDARD)
    assert (settlement.cost_pico, settlement.flags) == (booked_pico, flags)


def test_an_unknown_usage_key_settles_at_no_less_than_was_held() -> None:
    rows = [BOOK.row("openai", "gpt-4o", NOW)]
    usage = Usage(input=1, unknown_keys=("mystery_tokens",))
    assert settle(rows, usage, STANDARD, reserved_pico=10**9).cost_pico == 10**9
    lenient = settle(rows, usage, STANDARD, reserved_pico=10**9, strict=False)
    assert (lenient.cost_pico, lenient.flags) == (2_500_000, ("unknown_usage_key",))


def test_a_call_over_a_price_change_settles_at_the_dearer_side() -> None:
    change_at = datetime(2027, 1, 1, tzinfo=UTC)
    rows = BOOK.settle_rows("google", "gemini-3.8-flash", None, change_at - timedelta(seconds=5), change_at)
    settlement = settle(rows, Usage(output=1_000), STANDARD)
    assert (settlement.cost_pico, settlement.row_id) == (7_500_000_000, "google/gemini-3.8-flash@2027-01-01")


def test_usage_can_be_copied_and_sent_between_processes() -> None:
    usage = Usage(input=1, tools={"web_search": 1})
    assert copy.deepcopy(usage) == usage == pickle.loads(pickle.dumps(usage))  # noqa: S301 — our own bytes.
    assert (usage.total_input, usage.total_output, usage.total_tokens) == (1, 0, 1)
