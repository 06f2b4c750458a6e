"""An organisation's own rate as a row: every bucket has its price, and the ceiling holds the dearest."""

from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.money import PICO_PER_USD, usd_exact
from agents.pricing import Bound, Circumstances, PriceRow, UnpricedFeature, Usage, ceiling_pico, cost_pico, settle
from agents.pricing.custom import custom_row, is_custom, rate_id_of

RATE_ID = UUID("01936f00-0000-7000-8000-000000000001")
PLAIN = Circumstances()


def row(usd: float = 2, out: float = 8, **more: int | None) -> PriceRow:
    """A row with prices in dollars per million tokens; more: in pico-dollars."""
    prices = {"input_pico": int(usd * PICO_PER_USD), "output_pico": int(out * PICO_PER_USD)}
    return custom_row(RATE_ID, "openai", "m", **prices | more)  # type: ignore[arg-type]


def ceiling(
    priced: PriceRow, bound: Bound, *, tier: str = "default", speed: str = "standard", geo: str = "global"
) -> int:
    return ceiling_pico([priced], bound, [tier, "default"], speed, geo)


def test_the_row_is_named_after_its_rate_and_found_again() -> None:
    assert row().row_id == f"custom/{RATE_ID}"
    assert is_custom(row().row_id)
    assert not is_custom("openai/gpt-4o")
    assert rate_id_of(row().row_id) == RATE_ID
    with pytest.raises(ValueError):
        rate_id_of("custom/nonsense")


def test_cache_prices_left_out_are_those_of_input() -> None:
    usage = Usage(input=1_000, cache_read=1_000, cache_write=1_000, cache_write_long=1_000, output=500, reasoning=400)
    assert cost_pico(row(), usage, PLAIN) == 4_000 * 2_000_000 + 500 * 8_000_000


def test_each_bucket_has_its_own_price() -> None:
    priced = row(cache_read_pico=1 * PICO_PER_USD, cache_write_pico=3 * PICO_PER_USD)
    assert cost_pico(priced, Usage(cache_read=10), PLAIN) == 10 * 1_000_000
    assert cost_pico(priced, Usage(cache_write=10), PLAIN) == 10 * 3_000_000
    assert cost_pico(priced, Usage(cache_write_long=10), PLAIN) == 10 * 3_000_000


def test_the_worked_example_of_the_page_is_true() -> None:
    priced = row(0.25, 1, call_pico=PICO_PER_USD // 1_000)
    page = (Path(__file__).parents[2] / "docs/pricing.md").read_text()
    assert f"=  ${usd_exact(cost_pico(priced, Usage(input=1_000, output=500), PLAIN)).rstrip('0')}" in page


@pytest.mark.parametrize("dearest", ["cache_read_pico", "cache_write_pico"])
def test_the_ceiling_takes_the_dearest_input(dearest: str) -> None:
    priced = row(**{dearest: 5 * PICO_PER_USD})
    assert ceiling(priced, Bound(1_000, 100)) == 1_000 * 5_000_000 + 100 * 8_000_000


def test_the_fee_of_a_call_is_in_its_ceiling_and_in_its_cost() -> None:
    priced = row(call_pico=7)
    assert ceiling(priced, Bound(0, 0)) == 7
    assert cost_pico(priced, Usage(), PLAIN) == 7
    assert cost_pico(priced, Usage(input=1), Circumstances(billed=False)) == 0


def test_a_price_finer_than_a_pico_dollar_a_token_counts_in_full() -> None:
    assert custom_row(RATE_ID, "openai", "m", input_pico=1, output_pico=0).rates("default", 0).input == 1


@pytest.mark.parametrize(
    "asked", [{"tier": "priority"}, {"tier": "flex"}, {"speed": "fast"}, {"geo": "us"}], ids=lambda asked: str(asked)
)
def test_what_the_rate_does_not_name_has_no_price(asked: dict[str, str]) -> None:
    with pytest.raises(UnpricedFeature):
        ceiling(row(), Bound(10, 10), **asked)


@pytest.mark.parametrize(
    "bound", [Bound(1, 1, has_audio_input=True), Bound(1, 0, characters=5), Bound(1, 1, tools={"web_search": 1})]
)
def test_media_and_hosted_tools_have_no_price(bound: Bound) -> None:
    with pytest.raises(UnpricedFeature):
        ceiling(row(), bound)


PRICE = st.one_of(st.none(), st.integers(0, 10_000).map(lambda micro: micro * 1_000_000))
COUNT = st.integers(0, 50_000)


@given(PRICE, PRICE, PRICE, PRICE, COUNT, COUNT, COUNT, COUNT, COUNT)
def test_no_cost_within_the_bound_is_above_the_ceiling(
    price: int | None, read: int | None, write: int | None, out: int | None,
    fresh: int, cached: int, written: int, written_long: int, output: int,
) -> None:  # fmt: skip
    priced = custom_row(
        RATE_ID, "openai", "m", input_pico=price or 0, output_pico=out or 0, cache_read_pico=read,
        cache_write_pico=write, call_pico=3,
    )  # fmt: skip
    usage = Usage(input=fresh, cache_read=cached, cache_write=written, cache_write_long=written_long, output=output)
    bound = Bound(usage.total_input, output, cache_ttl_long=True)
    assert cost_pico(priced, usage, PLAIN) <= ceiling(priced, bound)


@pytest.mark.parametrize(
    ("reported_pico", "cost_pico", "flags"),
    [
        (0, 1_000_000_000, ("provider_cost_differs",)),
        (980_000_000, 1_000_000_000, ()),
        (1_000_000_000, 1_000_000_000, ()),
        (1_020_000_000, 1_020_000_000, ()),
        (1_020_000_001, 1_020_000_001, ("provider_cost_differs",)),
    ],
)
def test_a_providers_own_bill_never_lowers_the_price_that_the_organisation_set(
    reported_pico: int, cost_pico: int, flags: tuple[str, ...]
) -> None:
    said = settle([row(1)], Usage(input=1_000, provider_cost_pico=reported_pico), PLAIN)
    assert (said.cost_pico, said.flags) == (cost_pico, flags)
