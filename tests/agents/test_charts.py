"""Charts are geometry: nothing leaves the box, nothing is left out of the sum."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.charts import NARROW, OTHER_SERIES, SERIES_MAX, WIDE, Point, Series, nice_ceiling, rank_series, stacked
from agents.money import PICO_PER_USD


def _points(*amounts: dict[int, int]) -> list[Point]:
    return [Point(label=f"{number}", name=f"day {number}", amounts=spent) for number, spent in enumerate(amounts, 1)]


@pytest.mark.parametrize(
    ("amount_pico", "top_pico"),
    [(0, PICO_PER_USD), (1, 1), (3, 4), (5, 8), (9, 10), (10, 10), (11, 20), (7_960_000_000_000, 8_000_000_000_000)],
)
def test_an_axis_ends_at_the_next_round_amount(amount_pico: int, top_pico: int) -> None:
    assert nice_ceiling(amount_pico) == top_pico


@given(st.integers(min_value=0, max_value=9_000_000 * PICO_PER_USD))
def test_an_axis_is_never_lower_than_what_it_shows(amount_pico: int) -> None:
    assert nice_ceiling(amount_pico) >= amount_pico


@given(st.lists(st.dictionaries(st.integers(0, 5), st.integers(0, 10**16)), min_size=1, max_size=31))
def test_blocks_stay_inside_the_plot_and_add_up(amounts: list[dict[int, int]]) -> None:
    series = [Series(number, str(number), 0) for number in range(6)]
    chart = stacked("Spend", series, _points(*amounts))
    assert chart.total_pico == sum(sum(spent.values()) for spent in amounts)
    for drawing in chart.drawings:
        for column in drawing.columns:
            assert float(column.x) + float(column.width) <= drawing.size.width + 0.01
            for block in column.blocks:
                assert float(block.y) >= drawing.plot_top - 0.01
                assert float(block.y) + float(block.height) <= drawing.plot_top + drawing.plot_height + 0.02


def test_every_column_says_its_name_and_amount() -> None:
    chart = stacked("Spend", [Series(1, "a", 0)], _points({1: 5 * PICO_PER_USD}, {}))
    assert [column.title for column in chart.drawings[0].columns] == ["day 1: $5.00", "day 2: $0.00"]
    assert "most on day 1: $5.00" in chart.summary


def test_a_chart_of_nothing_still_has_an_axis() -> None:
    chart = stacked("Spend", [], _points({}, {}))
    assert chart.summary == "Nothing was spent."
    assert [line.label for line in chart.drawings[0].grid] == ["$0.00", "$0.25", "$0.50", "$0.75", "$1.00"]


def test_a_phone_gets_fewer_labels_than_a_desk() -> None:
    chart = stacked("Spend", [], _points(*({} for _ in range(30))))
    labels = {drawing.size: sum(bool(column.label) for column in drawing.columns) for drawing in chart.drawings}
    assert labels[NARROW] <= NARROW.labels_max < labels[WIDE] <= WIDE.labels_max
    assert all(drawing.columns[-1].label for drawing in chart.drawings)


def test_the_largest_spenders_have_colours_and_the_rest_share_one() -> None:
    series, numbers = rank_series([(f"k{size}", f"agent {size}", size) for size in range(1, 9)])
    assert [entry.name for entry in series] == ["agent 8", "agent 7", "agent 6", "agent 5", "agent 4", "3 others"]
    assert series[-1] == Series(OTHER_SERIES, "3 others", 6)
    assert len(numbers) == SERIES_MAX
    assert sum(entry.total_pico for entry in series) == sum(range(1, 9))


def test_who_spent_nothing_takes_no_colour() -> None:
    assert rank_series([("a", "a", 0), ("b", "b", 1)])[0] == [Series(1, "b", 1)]
