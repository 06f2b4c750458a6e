"""F2: 10,000 calls on a budget that fits a thousand of their ceilings; each costs a tenth of what it holds."""

from pathlib import Path

from tests.proxy.stage import stage
from tests.proxy.tenths_under_load import a_budget_is_spent_by_costs_not_by_ceilings


def test_nearly_all_of_ten_thousand_calls_are_admitted_on_a_tenth_of_their_ceilings(
    committed_database: str, tmp_path: Path
) -> None:
    with stage(tmp_path, workers=2) as on:
        outcome = a_budget_is_spent_by_costs_not_by_ceilings(on, calls=10_000, at_once=40)
        print(outcome)
        assert outcome.statuses[200] >= 9_500
