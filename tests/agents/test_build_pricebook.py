"""The generator on two small lists of our own; the real ones are read by hand."""

from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

from agents.data.build_pricebook import Builder
from agents.data.price_sources import Genai, Litellm, litellm_tiers
from agents.data.soundness import unsound
from agents.pricing.dated import dated_row


class Prices:
    def __init__(self, **prices: Decimal) -> None:
        self.__dict__.update(prices)


def builder(*, genai_input: str, litellm_input: float, model: str = "gpt-9", **entry: Any) -> Builder:
    """A builder that knows one OpenAI model, by both lists."""
    known = SimpleNamespace(
        id=model,
        prices=None,
        price_variants=None,
        get_prices=lambda moment: Prices(input_mtok=Decimal(genai_input), output_mtok=Decimal(8)),
    )
    said = {"mode": "chat", "input_cost_per_token": litellm_input, "output_cost_per_token": 8e-6, **entry}
    litellm = SimpleNamespace(
        ids=lambda owners, prefix: [model] if "openai" in owners else [],
        entry=lambda key: said if key == model else None,
    )
    genai = SimpleNamespace(ids=lambda provider: [], find=lambda provider, name: known if name == model else None)
    return Builder(cast(Litellm, litellm), cast(Genai, genai), "2026-11-22")


def row_of(built: Builder, model: str = "gpt-9") -> dict[str, Any]:
    return next(row for row in built.rows() if row["models"] == [model])


def test_lists_that_agree_make_a_row_that_can_be_read() -> None:
    built = builder(genai_input="2", litellm_input=2e-6, max_output_tokens=1_000)
    row = row_of(built)
    assert built.undecided == []
    assert (row["rates"]["input"], row["rates"]["output"], row["limits"]) == ("2", "8", {"output": 1_000})
    assert dated_row(row).row.rates("default", 1).input == 2_000_000


def test_an_undecided_difference_is_a_problem_that_names_both_prices() -> None:
    built = builder(genai_input="2", litellm_input=3e-6)
    built.rows()
    assert built.undecided == ["openai/gpt-9 default input: genai-prices 2, litellm 3"]


def test_a_decision_settles_a_difference_and_one_that_is_not_needed_is_reported() -> None:
    built = builder(genai_input="2", litellm_input=3e-6)
    built.decisions = [
        {"what": "openai/gpt-9 default input", "use": "litellm", "why": "test"},
        {"what": "openai/gpt-8 default input", "use": "litellm", "why": "test"},
    ]
    assert row_of(built)["rates"]["input"] == "3"
    assert built.undecided == []
    assert built.unused_decisions() == [str(built.decisions[1])]


def test_a_tier_that_leaves_a_price_out_never_gets_a_lower_one() -> None:
    entry: dict[str, Any] = {
        "cache_read_input_token_cost": 1e-6,
        "input_cost_per_token_flex": 1e-6,
        "input_cost_per_token_priority": 4e-6,
    }
    tiers = row_of(builder(genai_input="2", litellm_input=2e-6, **entry))["tiers"]
    assert (tiers["flex"]["rates"]["output"], tiers["flex"]["rates"]["cache_read"]) == ("8", "1")
    assert (tiers["priority"]["rates"]["output"], tiers["priority"]["rates"]["cache_read"]) == ("16", "2")


def test_a_long_rate_below_the_short_one_is_unsound() -> None:
    entry: dict[str, Any] = {"input_cost_per_token_above_200k_tokens": 1e-6}
    row = row_of(builder(genai_input="2", litellm_input=2e-6, **entry))
    assert list(unsound(row)) == [
        "openai/gpt-9 default input: cheaper in long contexts",
        "openai/gpt-9 default image_input: cheaper in long contexts",
    ]


def test_models_that_bill_without_a_bound_get_no_row() -> None:
    built = builder(genai_input="2", litellm_input=2e-6, model="gpt-9-search-preview")
    assert not any("gpt-9-search-preview" in row["models"] for row in built.rows())


def test_a_price_of_nought_is_no_price_except_where_all_is_free() -> None:
    assert litellm_tiers({"mode": "chat", "input_cost_per_token": 0.0}) == {}
    assert litellm_tiers({"mode": "moderation", "input_cost_per_token": 0.0}) == {"default": {"rates": {"input": 0}}}


def test_what_the_provider_says_of_all_its_models_fills_what_no_list_says_of_one() -> None:
    built = builder(genai_input="2", litellm_input=2e-6)
    factors = {"cache_write": "1.25", "gt": 272_000, "long_input": "2", "long_output": "1.5"}
    built.hand["rule"].append({"provider": "openai", "models": "^gpt-9$", "derive": factors})
    row = row_of(built)
    assert row["rates"]["cache_write"] == "2.5"
    assert row["long"]["gt"] == 272_000
    assert [row["long"]["rates"][name] for name in ("input", "cache_write", "output")] == ["4", "5", "12"]
    listed = {"cache_creation_input_token_cost": 3e-6, "input_cost_per_token_above_200k_tokens": 3e-6}
    built = builder(genai_input="2", litellm_input=2e-6, **listed)
    built.hand["rule"].append({"provider": "openai", "models": "^gpt-9$", "derive": factors})
    row = row_of(built)
    assert (row["rates"]["cache_write"], row["long"]["gt"], row["long"]["rates"]["input"]) == ("3", 200_000, "3")
