import pytest

from alerts.thresholds import Told, passed, reached, refusal_means_used_up, share, to_tell

USUAL = [50, 80, 100]


@pytest.mark.parametrize(
    ("spent", "limit", "expected"),
    [
        (0, 500, 0),
        (249, 500, 0),
        (250, 500, 50),
        (399, 500, 50),
        (400, 500, 80),
        (499, 500, 80),
        (500, 500, 100),
        (720, 500, 100),
        (0, 0, 0),
        (7, 0, 0),
        (1, 1, 100),
        (4_999_999_999_999, 10_000_000_000_000, 0),
        (5_000_000_000_000, 10_000_000_000_000, 50),
    ],
)
def test_the_highest_reached_threshold_is_exact_to_the_last_unit(spent: int, limit: int, expected: int) -> None:
    assert reached(spent, limit, USUAL) == expected


def test_the_order_of_thresholds_does_not_matter() -> None:
    assert reached(85, 100, [100, 50, 80]) == 80


def test_a_budget_without_thresholds_tells_nothing() -> None:
    assert to_tell(100, 100, [], 0) == 0


@pytest.mark.parametrize(
    ("spent", "already", "expected"),
    [(50, 0, 50), (50, 50, 0), (79, 50, 0), (80, 50, 80), (100, 0, 100), (100, 100, 0), (60, 80, 0), (81, 100, 0)],
)
def test_only_a_threshold_above_the_last_told_is_told(spent: int, already: int, expected: int) -> None:
    assert to_tell(spent, 100, USUAL, already) == expected


def test_while_the_limit_stays_the_highest_told_counts() -> None:
    told = [Told(50, limit=10, spent=5), Told(100, limit=10, spent=10)]
    assert passed(told, 10, USUAL, spent_at_raise=0) == 100


def test_after_a_raise_what_is_reached_of_the_new_limit_is_not_told_again() -> None:
    told = [Told(100, limit=10, spent=10)]
    assert passed(told, 20, USUAL, spent_at_raise=10) == 50


def test_after_a_raise_what_was_spent_between_the_last_mail_and_the_raise_counts() -> None:
    told = [Told(50, limit=50, spent=26)]
    assert passed(told, 60, USUAL, spent_at_raise=35) == 50
    assert passed(told, 60, USUAL, spent_at_raise=26) == 0


def test_under_a_raised_limit_told_thresholds_of_that_limit_count() -> None:
    told = [Told(100, limit=10, spent=10), Told(80, limit=20, spent=16)]
    assert passed(told, 20, USUAL, spent_at_raise=10) == 80


def test_after_a_lowering_the_last_told_still_counts() -> None:
    told = [Told(80, limit=10, spent=8)]
    already = passed(told, 9, USUAL, spent_at_raise=0)
    assert to_tell(8, 9, USUAL, already) == 0
    assert to_tell(8, 8, USUAL, already) == 100


@pytest.mark.parametrize(
    ("spent", "limit", "expected"), [(487, 500, True), (400, 500, True), (399, 500, False), (0, 0, False)]
)
def test_a_refusal_means_used_up_from_eighty_per_cent(spent: int, limit: int, expected: bool) -> None:
    assert refusal_means_used_up(spent, limit) is expected


@pytest.mark.parametrize(
    ("spent", "limit", "expected"),
    [
        (40, 1500, "2.7"),
        (0, 5, "0"),
        (250, 500, "50"),
        (487, 500, "97.4"),
        (4_999_999, 5_000_000, "99.9"),
        (7_999_999, 10_000_000, "79.9"),
        (1, 10_000_000, "0"),
        (720, 500, "144"),
    ],
)
def test_a_share_never_shows_a_whole_percent_that_is_not_reached(spent: int, limit: int, expected: str) -> None:
    assert share(spent, limit) == expected
