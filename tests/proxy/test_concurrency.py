"""F1 in small: many calls at once on a budget that fits a tenth of them, through two processes."""

from collections.abc import Iterator

import pytest

from tests.proxy.budget_under_load import budget_admits_exactly
from tests.proxy.stage import Stage, stage


@pytest.fixture(scope="module")
def two_processes(committed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage"), workers=2) as ready:
        yield ready


def test_exactly_as_many_calls_pass_as_the_budget_fits(two_processes: Stage) -> None:
    _, outcome = budget_admits_exactly(two_processes, fits=50, calls=500, at_once=100)
    assert set(outcome.reasons) <= {"held_in_flight", "budget_exceeded"}
