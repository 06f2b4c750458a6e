from datetime import UTC, datetime, timedelta

import pytest

from agents.money import usd_exact
from agents.pricebook import PriceBook
from agents.pricing import Bound, UnpricedFeature, affordable_output, ceiling_pico
from agents.pricing.ceiling import OUTPUT_TOKENS_MAX

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
SATURDAY = datetime(2026, 11, 21, 12, tzinfo=UTC)
NEW_YEARS_EVE = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
CALL_MAX = timedelta(minutes=10)
ENVELOPE = 64
CLAUDE_TOOLS = 2_000


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook.load()


def reserve(
    book: PriceBook,
    name: str,
    bound: Bound,
    *,
    tiers: tuple[str, ...] = ("default",),
    speed: str = "standard",
    geo: str = "global",
    at: datetime = NOW,
) -> str:
    provider, model = name.split("/")
    rows = book.rows_between(provider, model, at, at + CALL_MAX)
    return usd_exact(ceiling_pico(rows, bound, tiers, speed, geo))


def test_a_plain_call_reserves_its_bytes_and_its_cap(book: PriceBook) -> None:
    assert reserve(book, "openai/gpt-4o", Bound(1_842 + ENVELOPE, 500)) == "0.009765"


def test_input_is_reserved_at_the_cache_write_rate(book: PriceBook) -> None:
    assert reserve(book, "openai/gpt-6.1-sol", Bound(48_000 + ENVELOPE, 4_096)) == "0.161120"


def test_a_long_prompt_is_reserved_at_the_long_rates(book: PriceBook) -> None:
    assert reserve(book, "openai/gpt-6.1-sol", Bound(272_001 + ENVELOPE, 4_096)) == "1.421765"


def test_several_answers_are_all_reserved(book: PriceBook) -> None:
    assert reserve(book, "openai/gpt-4o-mini", Bound(900 + ENVELOPE, 4 * 1_000)) == "0.0025446"


CLAUDE = Bound(20_000 + ENVELOPE + CLAUDE_TOOLS, 8_192)


def test_claude_with_tools_reserves_their_hidden_prompt(book: PriceBook) -> None:
    assert reserve(book, "anthropic/claude-opus-5-5", CLAUDE) == "0.274160"


def test_the_long_cache_lifetime_reserves_its_dearer_write(book: PriceBook) -> None:
    bound = Bound(CLAUDE.input_tokens, CLAUDE.output_tokens, cache_ttl_long=True)
    assert reserve(book, "anthropic/claude-opus-5-5", bound) == "0.340352"


def test_fast_mode_and_residency_multiply(book: PriceBook) -> None:
    assert reserve(book, "anthropic/claude-opus-5-5", CLAUDE, speed="fast", geo="us") == "0.603152"


def test_gemini_reserves_at_the_price_of_today(book: PriceBook) -> None:
    assert reserve(book, "google/gemini-3.8-flash", Bound(12_000 + ENVELOPE, 2_048)) == "0.016728"


def test_a_call_that_may_end_next_year_reserves_at_the_dearer_row(book: PriceBook) -> None:
    bound = Bound(12_000 + ENVELOPE, 2_048)
    assert reserve(book, "google/gemini-3.8-flash", bound, at=NEW_YEARS_EVE) == "0.033456"


def test_off_peak_discounts_are_never_reserved(book: PriceBook) -> None:
    bound = Bound(8_000 + ENVELOPE, 1_000)
    assert reserve(book, "deepseek/deepseek-v4-pro", bound, at=SATURDAY) == "0.01460448"


def test_a_hosted_tool_reserves_a_full_window_for_every_step(book: PriceBook) -> None:
    assert reserve(book, "openai/gpt-5", Bound(900, 4_096, tools={"web_search": 5})) == "2.130960"


def test_after_a_promotion_the_dearest_row_ever_known_is_reserved(book: PriceBook) -> None:
    bound = Bound(10_000 + ENVELOPE, 1_000)
    assert reserve(book, "openai/gpt-5.6-sol", bound) == "0.092900"
    assert reserve(book, "openai/gpt-5.6-sol", bound, at=datetime(2026, 11, 20, tzinfo=UTC)) == "0.070320"


def test_the_dearest_of_the_tiers_is_reserved(book: PriceBook) -> None:
    bound = Bound(1_000, 1_000)
    default, flex = (reserve(book, "openai/gpt-5", bound, tiers=(tier,)) for tier in ("default", "flex"))
    assert float(flex) * 2 == pytest.approx(float(default))
    assert reserve(book, "openai/gpt-5", bound, tiers=("flex", "default")) == default


def test_claude_may_use_its_cap_once_for_every_step_of_a_hosted_tool(book: PriceBook) -> None:
    bound = Bound(900, 1_000, tools={"web_search": 2})
    # Three windows of a million tokens at the cache-write rate, three caps, two searches.
    assert reserve(book, "anthropic/claude-opus-5-5", bound) == "15.080000"


@pytest.mark.parametrize(
    ("bound", "tiers", "speed", "geo"),
    [
        (Bound(1, 1), ("ultrafast",), "standard", "global"),
        (Bound(1, 1), ("default",), "fast", "global"),
        (Bound(1, 1), ("default",), "standard", "us"),
        (Bound(1, 1, tools={"crystal_ball": 1}), ("default",), "standard", "global"),
        (Bound(1, 1, has_audio_input=True), ("default",), "standard", "global"),
        (Bound(1, 1, has_audio_output=True), ("default",), "standard", "global"),
        (Bound(1, 1, has_image_output=True), ("default",), "standard", "global"),
        (Bound(1, 1, cache_ttl_long=True), ("default",), "standard", "global"),
        (Bound(0, 0, characters=1), ("default",), "standard", "global"),
        (Bound(0, 0, duration_ms=1), ("default",), "standard", "global"),
    ],
)
def test_what_has_no_price_is_refused(
    book: PriceBook, bound: Bound, tiers: tuple[str, ...], speed: str, geo: str
) -> None:
    with pytest.raises(UnpricedFeature):
        reserve(book, "openai/gpt-4o", bound, tiers=tiers, speed=speed, geo=geo)


def test_an_embedding_needs_no_output_rate(book: PriceBook) -> None:
    assert reserve(book, "openai/text-embedding-3-small", Bound(8, 0)) == "0.00000016"


def test_characters_and_durations_are_reserved(book: PriceBook) -> None:
    assert reserve(book, "openai/tts-1", Bound(0, 0, characters=1_000)) == "0.015000"
    assert reserve(book, "openai/whisper-1", Bound(0, 0, duration_ms=61_000)) == "0.006100"


def test_the_affordable_output_is_the_largest_that_fits(book: PriceBook) -> None:
    for name, speed, geo in [
        ("openai/gpt-4o", "standard", "global"),
        ("openai/gpt-5.6-sol", "standard", "us"),
        ("anthropic/claude-opus-5-5", "fast", "us"),
    ]:
        provider, model = name.split("/")
        rows = book.rows_between(provider, model, NOW, NOW + CALL_MAX)
        available = 123_456_789_012
        tokens = affordable_output(rows, Bound(1_000, 0), ("default",), speed, geo, available)
        assert tokens > 0
        assert ceiling_pico(rows, Bound(1_000, tokens), ("default",), speed, geo) <= available
        assert ceiling_pico(rows, Bound(1_000, tokens + 1), ("default",), speed, geo) > available


def test_no_output_is_affordable_when_the_input_does_not_fit(book: PriceBook) -> None:
    rows = book.rows_between("openai", "gpt-4o", NOW, NOW)
    assert affordable_output(rows, Bound(1_000, 0), ("default",), "standard", "global", 2_499_999_999) == 0
    assert affordable_output(rows, Bound(1_000, 0), ("default",), "standard", "global", -1) == 0


def test_free_output_is_affordable_without_end(book: PriceBook) -> None:
    free = {"provider": "local", "models": ["llama"], "kind": "chat", "rates": {"input": "0", "output": "0"}}
    rows = book.with_rows([free], version="x").rows_between("local", "llama", NOW, NOW)
    assert affordable_output(rows, Bound(1_000, 0), ("default",), "standard", "global", 0) == OUTPUT_TOKENS_MAX
