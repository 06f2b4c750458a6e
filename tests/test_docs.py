"""The pages for people: no link leads nowhere, and nothing speaks of one machine."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]

    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_readme_leads_to_every_page() -> None:
    told = LINK.findall((ROOT / "README.md").read_text())

    assert {str(page.relative_to(ROOT)) for page in PAGES} - {*told, "README.md"} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_folder_of_one_machine(page: Path) -> None:
    assert re.findall(r"/(?:root|home|work)/\S*", page.read_text()) == []
