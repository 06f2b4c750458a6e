"""Files of others are what static/vendor/README.md says they are."""

import hashlib
import re
from pathlib import Path

VENDOR = Path("static/vendor")
ROW = re.compile(r"^\| `(?P<file>[^`]+)` .*\| `(?P<sum>[0-9a-f]{64})` \|$", re.MULTILINE)


def listed() -> dict[str, str]:
    return {found["file"]: found["sum"] for found in ROW.finditer((VENDOR / "README.md").read_text())}


def test_every_third_party_file_has_the_sum_that_is_listed() -> None:
    for name, expected in listed().items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == expected, name


def test_no_third_party_file_is_unlisted_or_without_a_licence() -> None:
    files = {str(file.relative_to(VENDOR)) for file in VENDOR.rglob("*") if file.is_file()}
    licences = {name for name in files if name.endswith("/LICENSE")}
    assert files - licences - {"README.md"} == set(listed())
    assert {Path(name).parent for name in listed()} == {Path(name).parent for name in licences}


def test_the_sprite_has_every_icon_that_a_template_draws_and_no_other() -> None:
    sprite = (VENDOR / "lucide-1.62.0/icons.svg").read_text()
    has = set(re.findall(r'<symbol id="([^"]+)"', sprite))
    drawn = {
        name
        for file in Path("templates").rglob("*.html")
        for name in re.findall(r'{% icon "([^"]+)"', file.read_text())
    }
    assert drawn
    assert drawn == has
