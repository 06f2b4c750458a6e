import json
import re
import tomllib
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise

import pytest

from agents.data.book_file import IDS_PATH
from agents.data.build_pricebook import HERE, excluded
from agents.data.soundness import uncovered, unsound
from agents.pricebook import BOOK_PATH, PriceBook, UnpricedModel, current_book
from agents.pricing import Rates
from agents.pricing.dated import InvalidRow, dated_row

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
BOOK = PriceBook.load()
FACTS = json.loads(BOOK_PATH.read_text())
SOURCE_IDS = json.loads(IDS_PATH.read_text())
EXCLUSIONS = tomllib.loads((HERE / "exclusions.toml").read_text())["exclusion"]
ROW = {"provider": "acme", "models": ["m"], "kind": "chat", "rates": {"input": "1", "output": "2"}}

NAMED_IN_PUBLIC = [
    ("openai", "gpt-4-turbo-preview"),
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("openai", "o1-preview"),
    ("anthropic", "claude-3-opus"),
    ("anthropic", "claude-3-sonnet"),
    ("anthropic", "claude-3-haiku"),
    ("google", "gemini-1.5-pro"),
    ("google", "gemini-1.5-flash"),
]


def test_the_version_is_the_hash_of_the_file() -> None:
    assert BOOK.version == sha256(BOOK_PATH.read_bytes()).hexdigest()[:12]
    assert current_book() is current_book()


@pytest.mark.parametrize(("provider", "model"), NAMED_IN_PUBLIC)
def test_every_model_named_in_public_examples_has_a_price_and_an_output_limit(provider: str, model: str) -> None:
    """product.md B12."""
    row = BOOK.row(provider, model, NOW)
    rates = row.rates("default", 1)
    assert rates.input
    assert rates.output
    assert row.output_limit


@pytest.mark.parametrize(
    ("provider", "model", "priced_as"),
    [
        ("openai", "gpt-4o-2024-11-20", "gpt-4o"),
        ("openai", "gpt-5.4-2031-01-31", "gpt-5.4"),
        ("openai", "ft:gpt-4o-2024-08-06:org:name:id", "ft:gpt-4o-2024-08-06"),
        ("openai", "ft:gpt-4o-2024-08-06", "ft:gpt-4o-2024-08-06"),
        ("anthropic", "claude-3-5-haiku-20241022", "claude-3-5-haiku"),
        ("anthropic", "claude-3-opus-latest", "claude-3-opus"),
        ("anthropic", "claude-sonnet-5-5-latest", "claude-sonnet-5-5"),
        ("anthropic", "claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("anthropic", "claude-opus-5-0", "claude-opus-5"),
        ("google", "models/gemini-3.8-flash", "gemini-3.8-flash"),
        ("google", "gemini-3.8-flash", "gemini-3.8-flash"),
    ],
)
def test_an_id_is_priced_by_its_own_row_or_its_familys(provider: str, model: str, priced_as: str) -> None:
    assert BOOK.has(provider, model)
    assert BOOK.row(provider, model, NOW).model == priced_as


def test_a_dated_id_with_a_row_of_its_own_keeps_it() -> None:
    assert BOOK.row("openai", "gpt-4o-2024-05-13", NOW).rates("default", 1).input == 5_000_000


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", ""),
        ("openai", "gpt-4o "),
        ("openai", "GPT-4o"),
        ("openai", "gpt-4o-latest"),
        ("openai", "gpt-4o-2024-13-45-extra"),
        ("openai", "gpt-4o-٢٠٢٤-01-01"),
        ("openai", "openai/gpt-4o"),
        ("openai", "ft:gpt-9:org::id"),
        ("openai", "claude-opus-5-5"),
        ("openai", "gpt-4o-search-preview"),
        ("anthropic", "claude-opus-5-5@20260101"),
        ("google", "gemini-4-carbon"),
        ("google", "models/models/gemini-3.8-flash"),
        ("nobody", "gpt-4o"),
    ],
)
def test_an_unknown_id_is_unpriced(provider: str, model: str) -> None:
    assert not BOOK.has(provider, model)
    for ask in (
        lambda: BOOK.row(provider, model, NOW),
        lambda: BOOK.rows_between(provider, model, NOW, NOW),
        lambda: BOOK.settle_rows(provider, model, None, NOW, NOW),
    ):
        with pytest.raises(UnpricedModel) as unpriced:
            ask()
        assert (unpriced.value.provider, unpriced.value.model) == (provider, model)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
@pytest.mark.parametrize("source", ["genai-prices", "litellm"])
def test_every_id_of_either_list_has_a_row_or_a_reason_to_have_none(provider: str, source: str) -> None:
    ids = SOURCE_IDS[provider][source]
    assert len(ids) > 20
    assert [model for model in ids if not BOOK.has(provider, model) and not excluded(EXCLUSIONS, provider, model)] == []


def test_an_exclusion_says_why() -> None:
    assert all(len(entry["why"]) > 5 for entry in EXCLUSIONS)


@pytest.mark.parametrize(
    ("kind", "models", "rates"),
    [
        ("embedding", ["text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"], {"input"}),
        ("moderation", ["omni-moderation-latest"], {"input"}),
        ("image", ["gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5"], {"input", "image_input", "image_output"}),
        ("speech", ["tts-1", "tts-1-hd"], {"characters"}),
        ("speech", ["gpt-4o-mini-tts"], {"input", "audio_output"}),
        ("transcription", ["whisper-1", "gpt-transcribe"], {"hour"}),
        ("transcription", ["gpt-4o-transcribe", "gpt-4o-mini-transcribe"], {"input", "audio_input", "output"}),
        ("completion", ["gpt-3.5-turbo-instruct", "davinci-002", "babbage-002"], {"input", "output"}),
        ("chat", ["o3-deep-research", "o4-mini-deep-research", "o3-pro", "o1-pro"], {"input", "output"}),
    ],
)
def test_every_endpoint_finds_rows_of_its_kind(kind: str, models: list[str], rates: set[str]) -> None:
    for model in models:
        row = BOOK.row("openai", model, NOW)
        assert row.kind == kind
        short = row.rates("default", 1)
        assert all(getattr(short, name) is not None for name in rates)


@pytest.mark.parametrize("model", ["gemini-embedding-001", "gemini-embedding-2"])
def test_geminis_embeddings_have_rows(model: str) -> None:
    row = BOOK.row("google", model, NOW)
    assert (row.kind, bool(row.rates("default", 1).input), bool(row.input_limit)) == ("embedding", True, True)


def test_the_book_holds_nothing_that_a_build_would_reject() -> None:
    assert [problem for row in FACTS["rows"] for problem in unsound(row)] == []
    assert list(uncovered(FACTS["rows"])) == []


def test_a_served_model_without_a_row_is_left_out() -> None:
    rows = BOOK.settle_rows("openai", "gpt-4o", "gpt-4o-secret", NOW, NOW)
    assert [row.row_id for row in rows] == ["openai/gpt-4o"]


def test_moderation_is_known_and_free() -> None:
    row = BOOK.row("openai", "omni-moderation-latest", NOW)
    assert (row.kind, row.rates("default", 1).input) == ("moderation", 0)


def test_a_row_that_ends_prices_until_its_end() -> None:
    book = PriceBook([dated_row(ROW | {"since": "2026-01-01", "until": "2026-02-01"})], "v")
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    assert book.row("acme", "m", start).row_id == "acme/m@2026-01-01"
    assert book.row("acme", "m", end - timedelta(microseconds=1))
    for at in (start - timedelta(microseconds=1), end):
        with pytest.raises(UnpricedModel):
            book.row("acme", "m", at)
    # A call that outlives the row is still priced by it.
    assert book.settle_rows("acme", "m", None, end - timedelta(seconds=1), end + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("at", "offpeak"),
    [
        ("2026-11-20T00:59:59", True),
        ("2026-11-20T01:00:00", False),
        ("2026-11-20T03:59:59", False),
        ("2026-11-20T04:00:00", True),
        ("2026-11-20T09:59:59", False),
        ("2026-11-20T10:00:00", True),
        ("2026-11-20T23:59:59", True),
        ("2026-11-21T02:30:00", True),
        ("2026-11-22T08:00:00", True),
        ("2026-11-23T02:30:00", False),
        # Monday 01:30 in Shanghai is Sunday evening in UTC.
        ("2026-11-23T01:30:00+08:00", True),
        ("2026-11-23T09:30:00+08:00", False),
    ],
)
def test_off_peak_hours_are_those_of_utc_and_of_the_week(at: str, offpeak: bool) -> None:
    moment = datetime.fromisoformat(at)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    assert BOOK.row("deepseek", "deepseek-v4-pro", moment).offpeak is offpeak
    assert not any(row.offpeak for row in BOOK.rows_between("deepseek", "deepseek-v4-pro", moment, moment))


def test_rows_of_ones_own_replace_the_models_they_name() -> None:
    own = BOOK.with_rows([ROW | {"provider": "openai", "models": ["gpt-4o"]}], version="own")
    assert own.version == "own"
    assert own.row("openai", "gpt-4o", NOW).rates("default", 1).input == 1_000_000
    assert own.row("openai", "gpt-4o-mini", NOW).rates("default", 1).input == 150_000
    assert BOOK.row("openai", "gpt-4o", NOW).rates("default", 1).input == 2_500_000


def test_a_missing_cache_discount_is_no_discount_at_openai_only() -> None:
    assert dated_row(ROW | {"provider": "openai"}).row.rates("default", 1).cache_read == 1_000_000
    assert dated_row(ROW).row.rates("default", 1).cache_read is None


@pytest.mark.parametrize(
    "change",
    [
        {"models": []},
        {"kind": None, "rates": None},
        {"rates": {"input": "1", "tokens": "1"}},
        {"rates": {"input": "-1"}},
        {"rates": {"input": "NaN"}},
        {"rates": {"input": "0.0000001"}},
        {"rates": {"input": 1.5}},
        {"since": "soon"},
        {"tools": {"web_search": "1e3"}},
        {"multipliers": {"us": "x"}},
        {"long": {"rates": {"input": "1"}}},
        {"offpeak": {"rates": {"input": "1"}}},
    ],
    ids=str,
)
def test_a_row_that_cannot_be_read_is_refused_by_name(change: dict[str, object]) -> None:
    with pytest.raises(InvalidRow) as invalid:
        dated_row(ROW | change)
    assert invalid.value.where.startswith("acme/")


def test_the_book_says_where_it_comes_from_and_holds_decimal_texts() -> None:
    assert FACTS["generator"] == "agents/data/build_pricebook.py"
    assert set(FACTS["sources"]) == {"genai-prices", "litellm"}
    for row in FACTS["rows"]:
        assert row["source"].startswith("https://")
        assert row["verified_on"]
        assert all(isinstance(price, str) and Decimal(price) >= 0 for price in row["rates"].values())


def test_no_two_rows_price_one_model_at_one_moment() -> None:
    spans: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in FACTS["rows"]:
        for model in row["models"]:
            spans.setdefault((row["provider"], model), []).append((row.get("since", ""), row.get("until", "9")))
    for name, periods in spans.items():
        periods.sort()
        assert all(end == start for (_, end), (start, _) in pairwise(periods)), name


def test_no_rate_falls_in_a_long_context_nor_is_left_out_of_a_tier() -> None:
    for row in FACTS["rows"]:
        compiled = dated_row(row).row
        default = compiled.tiers["default"].short
        for tier in compiled.tiers.values():
            assert_covers(tier.short, default)
            if tier.long is not None:
                assert_covers(tier.long, tier.short)
                assert all(
                    long >= short
                    for long, short in zip(tier.long.per_token, tier.short.per_token, strict=True)
                    if long is not None and short is not None
                )


def assert_covers(rates: Rates, base: Rates) -> None:
    for known, needed in zip(rates.per_token, base.per_token, strict=True):
        assert needed is None or known is not None


LATER = [
    row for row in FACTS["rows"]
    if row["provider"] == "openai" and re.match(r"gpt-(5\.[4-9]|[6-9])", row["models"][0]) and row["kind"] == "chat"
]  # fmt: skip


def test_openais_later_models_have_long_rates_wherever_a_prompt_can_be_long() -> None:
    """metering.md 1.2: from gpt-5.4 on, over 272,000 tokens."""
    can_be_long = [row for row in LATER if row.get("limits", {}).get("input", 10**9) > 272_000]
    assert len(can_be_long) > 10
    assert [row["models"][0] for row in can_be_long if row.get("long", {}).get("gt") != 272_000] == []


def test_openais_later_models_have_a_price_for_the_cache_writes_that_nobody_asks_for() -> None:
    """metering.md 0.6: from gpt-5.6 on."""
    writing = [row for row in LATER if not re.match(r"gpt-5\.[45]", row["models"][0])]
    assert len(writing) > 8
    assert [row["models"][0] for row in writing if "cache_write" not in row["rates"]] == []
