"""docs/reliability.md names tests that exist, and misses none of its rows."""

import re

import pytest

from shredder.embedded.home import CHECKOUT

PAGE = (CHECKOUT / "docs/reliability.md").read_text()
# `proxy/test_x`: a sentence; another sentence
NAMED = re.compile(r"`(\w+/test_\w+)`: ([^`|·\n]+)")
ROWS = [*map(str, range(1, 25)), *(f"I{number}" for number in range(1, 11)), *(f"F{number}" for number in range(1, 10))]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_there(row: str) -> None:
    assert re.search(rf"^\| {row} \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("path", "sentences"), NAMED.findall(PAGE))
def test_every_named_test_exists(path: str, sentences: str) -> None:
    source = (CHECKOUT / f"tests/{path}.py").read_text()
    for sentence in sentences.split(";"):
        assert f"def test_{sentence.strip().replace(' ', '_')}(" in source


@pytest.mark.parametrize("row", [row for row in ROWS if not row.startswith("F")])
def test_every_row_names_a_test(row: str) -> None:
    lines = re.findall(rf"^\| {row} \|.*", PAGE, re.MULTILINE)
    assert any(NAMED.search(line) for line in lines)


def test_every_scenario_at_full_size_is_on_the_page() -> None:
    files = {path.name for path in (CHECKOUT / "tests/faults").glob("test_*.py")}
    assert {name for name in files if f"faults/{name}`" not in PAGE} == set()
