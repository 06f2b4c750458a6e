import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.money import PICO_PER_USD, InvalidAmount, divide_up, parse_usd, usd_display, usd_exact


@pytest.mark.parametrize(
    ("text", "pico"),
    [
        ("5", 5 * PICO_PER_USD),
        ("5.00", 5 * PICO_PER_USD),
        (" $12.50 ", 12_500_000_000_000),
        ("0.000001", 1_000_000),
        ("0.000000000001", 1),
        (".5", 500_000_000_000),
        ("5.", 5 * PICO_PER_USD),
        ("0", 0),
        ("0000000000009", 9 * PICO_PER_USD),
        (f"{'0' * 5_000}9", 9 * PICO_PER_USD),
        ("0" * 5_000, 0),
        ("9000000", 9_000_000 * PICO_PER_USD),
    ],
)
def test_an_amount_of_dollars_is_read_exactly(text: str, pico: int) -> None:
    assert parse_usd(text) == pico


@pytest.mark.parametrize(
    "text",
    ["", "$", ".", "-7", "-0", "NaN", "Infinity", "1e309", "1e3", "10,5", "1_000", "٥", "0x10", "5 5", "+5", "5$"],
)
def test_a_text_that_is_not_a_plain_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidAmount) as refused:
        parse_usd(text)
    assert refused.value.reason.endswith(".")


@pytest.mark.parametrize("text", ["0.0000000000001", "9000000.000000000001", "9000001", "9" * 400])
def test_an_amount_too_fine_or_too_large_is_refused(text: str) -> None:
    with pytest.raises(InvalidAmount):
        parse_usd(text)


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (3_500_000_000, "0.003500"),
        (600_000, "0.0000006"),
        (11_953_750_000, "0.01195375"),
        (0, "0.000000"),
        (1, "0.000000000001"),
        (-1_500_000_000_000, "-1.500000"),
        (9_000_000 * PICO_PER_USD, "9000000.000000"),
    ],
)
def test_the_exact_form_keeps_every_digit_and_six_places(pico: int, text: str) -> None:
    assert usd_exact(pico) == text


@pytest.mark.parametrize(
    ("pico", "text"),
    [
        (0, "$0.00"),
        (12_300_000_000_000, "$12.30"),
        (12_345_000_000_000, "$12.35"),
        (1_234_567_891_000_000_000, "$1,234,567.89"),
        (4_200_000_000, "$0.0042"),
        (4_000_000_000, "$0.004"),
        (14_000_000_000, "$0.014"),
        (500_000_000_000, "$0.50"),
        (999_999_999_999, "$1.00"),
        (99_960_000_000, "$0.10"),
        (1, "$0.000000000001"),
        (-4_200_000_000, "-$0.0042"),
    ],
)
def test_the_display_form_is_short_and_never_hides_an_amount(pico: int, text: str) -> None:
    assert usd_display(pico) == text


@given(st.integers(min_value=0, max_value=9_000_000 * PICO_PER_USD))
def test_the_exact_form_reads_back_to_the_same_amount(pico: int) -> None:
    assert parse_usd(usd_exact(pico)) == pico


@given(st.integers(), st.integers(min_value=1))
def test_division_rounds_up_and_by_less_than_one(numerator: int, denominator: int) -> None:
    quotient = divide_up(numerator, denominator)
    assert (quotient - 1) * denominator < numerator <= quotient * denominator
