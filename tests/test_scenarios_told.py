"""Every way in which products of this kind fail their users, as far as budgets go, has a test that names it.

The ids are those of the docstrings: A budgets and enforcement, D windows, I failures of the store.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ID = re.compile(r"\b[A-J]\d{1,2}\b")
WANTED = [*(f"A{n}" for n in range(1, 23)), *(f"D{n}" for n in range(1, 13)), *(f"I{n}" for n in range(1, 11))]


def told() -> set[str]:
    """The ids that docstrings of tests name."""
    lines = (line for path in TESTS.rglob("test_*.py") for line in path.read_text().splitlines() if '"""' in line)
    return {one for line in lines for one in ID.findall(line)}


@pytest.mark.parametrize("scenario", WANTED)
def test_a_scenario_has_its_test(scenario: str) -> None:
    assert scenario in told()
