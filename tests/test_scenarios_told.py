"""Every way in which products of this kind fail their users, as far as budgets go, has a test that names it.

The ids are those of the docstrings: A budgets and enforcement, B metering, C streaming, D windows, E tenants and keys,
I failures of the store, J the wire. A docstring that means B says "scenario", because guards are called B too.
"""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ID = re.compile(r"\b[A-J]\d{1,2}\b")
LISTS = {"A": (1, 22), "B": (1, 23), "C": (1, 13), "D": (1, 12), "E": (6, 13), "I": (1, 10), "J": (1, 12)}
WANTED = [f"{letter}{n}" for letter, (first, last) in LISTS.items() for n in range(first, last + 1)]


def told() -> set[str]:
    """The ids that docstrings of tests name."""
    lines = (line for path in TESTS.rglob("test_*.py") for line in path.read_text().splitlines() if '"""' in line)
    return {one for line in lines for one in ID.findall(line) if one[0] != "B" or "scenario" in line.lower()}


@pytest.mark.parametrize("scenario", WANTED)
def test_a_scenario_has_its_test(scenario: str) -> None:
    assert scenario in told()
