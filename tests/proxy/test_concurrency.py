"""F1, F2, F8 and F9 in small: many calls at once through two processes; ./dev faults runs them at full size."""

import random
from collections.abc import Iterator

import pytest

from tests.proxy.budget_under_load import budget_admits_exactly
from tests.proxy.cancels_under_load import a_cancel_storm_leaves_nothing_held
from tests.proxy.resets_under_load import SHAPES, resets_at_every_event_are_paid_for
from tests.proxy.stage import Stage, stage
from tests.proxy.tenths_under_load import a_budget_is_spent_by_costs_not_by_ceilings


@pytest.fixture(scope="module")
def two_processes(committed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage"), workers=2) as ready:
        yield ready


def test_exactly_as_many_calls_pass_as_the_budget_fits(two_processes: Stage) -> None:
    _, outcome = budget_admits_exactly(two_processes, fits=50, calls=500, at_once=100)
    assert set(outcome.reasons) <= {"held_in_flight", "budget_exceeded"}


def test_calls_that_hold_ten_times_their_cost_are_refused_only_while_others_run(two_processes: Stage) -> None:
    a_budget_is_spent_by_costs_not_by_ceilings(two_processes, calls=300, at_once=10)


def test_a_stream_that_its_client_resets_is_charged_as_billed(two_processes: Stage) -> None:
    assert resets_at_every_event_are_paid_for(two_processes, shapes=SHAPES, every=25) == {"usage": 40}


def test_a_storm_of_cancelled_calls_leaves_nothing_held(two_processes: Stage) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    ends = a_cancel_storm_leaves_nothing_held(two_processes, calls=200, at_once=40, seed=seed)
    assert ends["left"] > 0
