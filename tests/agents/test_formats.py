"""Numbers and times as people read them."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from agents.money import PICO_PER_USD
from agents.templatetags import formats

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pico", "shown"),
    [
        (0, "$0.0000"),
        (PICO_PER_USD * 12, "$12.0000"),
        (4_200_000_000, "$0.0042"),
        (43_749_999_999, "$0.0437"),
        (43_750_000_000, "$0.0438"),
        (1, "$0.000000000001"),
        (99_000_000, "$0.000099"),
        (-1_500_000_000_000, "-$1.5000"),
        (None, "–"),
    ],
)
def test_a_call_has_four_places_and_never_vanishes(pico: int | None, shown: str) -> None:
    assert formats.usd_call(pico) == shown


@pytest.mark.parametrize(
    ("pico", "shown"), [(5 * PICO_PER_USD, "5"), (PICO_PER_USD // 4, "0.25"), (0, "0"), (None, "")]
)
def test_an_amount_goes_back_into_its_field_as_it_was_typed(pico: int | None, shown: str) -> None:
    assert formats.usd_plain(pico) == shown


@pytest.mark.parametrize(
    ("pico", "shown"),
    [
        (125 * 10**9, "$0.125"),
        (3 * PICO_PER_USD, "$3.00"),
        (375 * 10**10, "$3.75"),
        (1500 * PICO_PER_USD, "$1,500.00"),
        (0, "$0.00"),
        (None, "–"),
    ],
)
def test_a_rate_is_never_rounded(pico: int | None, shown: str) -> None:
    assert formats.usd_rate(pico) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3700, "1 h 1 min"), (3601, "1 h"), (90_061, "1 d 1 h"), (-5, "0 s")],
)
def test_a_duration_has_its_two_largest_units(seconds: int, shown: str) -> None:
    assert formats.duration(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(("ms", "shown"), [(None, "–"), (380, "380 ms"), (1900, "1.9 s"), (125_000, "2 min 5 s")])
def test_latencies_are_short(ms: int | None, shown: str) -> None:
    assert formats.milliseconds(ms) == shown


def test_a_clock_time_names_its_zone() -> None:
    assert formats.clock(NOON, "Europe/Berlin") == "Sun 22 Nov, 13:00 CET"
    assert formats.clock(NOON, "America/Sao_Paulo") == "Sun 22 Nov, 09:00 UTC-03"
    assert formats.clock(None, "UTC") == "never"


def test_the_zone_is_that_of_the_moment_when_clocks_change() -> None:
    before = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert formats.clock(before, "Europe/Berlin").endswith("02:30 CEST")
    assert formats.clock(before + timedelta(hours=1), "Europe/Berlin").endswith("02:30 CET")


@time_machine.travel(NOON, tick=False)
def test_a_moment_says_how_long_ago_and_exactly_when() -> None:
    shown = formats.ago(NOON - timedelta(minutes=3), "Asia/Kolkata")
    assert "3 min ago" in shown
    assert 'title="2026-11-22 17:27:00.000 IST"' in shown
    assert 'datetime="2026-11-22T11:57:00+00:00"' in shown


@time_machine.travel(NOON, tick=False)
def test_a_reset_is_a_duration() -> None:
    assert formats.until(NOON + timedelta(hours=5, minutes=12)) == "in 5 h 12 min"


def test_reasons_are_words_even_when_unknown() -> None:
    assert formats.reason_words("provider_not_connected") == "the provider is not connected"
    assert formats.reason_words("something_new") == "something new"
