"""F1: 10,000 calls, a thousand in flight at a time, two processes, a budget that fits exactly a thousand."""

from pathlib import Path

from tests.proxy.budget_under_load import budget_admits_exactly
from tests.proxy.stage import stage


def test_a_thousand_of_ten_thousand_calls_are_admitted_and_not_one_more(
    committed_database: str, tmp_path: Path
) -> None:
    with stage(tmp_path, workers=2) as on:
        _, outcome = budget_admits_exactly(on, fits=1_000, calls=10_000, at_once=1_000)
        assert set(outcome.reasons) <= {"held_in_flight", "budget_exceeded"}
