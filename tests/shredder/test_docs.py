"""Pages of documentation that the code can check."""

import re
import tomllib

from shredder.embedded.home import CHECKOUT

NAME = re.compile(
    r"""["'](SITE_URL|SECRET_KEY|EMAIL_URL|[A-Z]+_URL|SENTRY_DSN|DEFAULT_FROM_EMAIL|SHREDDER_[A-Z_]+)["']"""
)
# Set by our own processes and tests for each other.
INTERNAL = {"SHREDDER_READY_FILE", "SHREDDER_TEST_HOME"}


def test_every_setting_is_documented() -> None:
    page = (CHECKOUT / "docs/operations.md").read_text()
    sources = [path.read_text() for path in (CHECKOUT / "shredder").rglob("*.py") if "settings_test" not in path.name]
    names = {name for source in sources for name in NAME.findall(source)} - INTERNAL
    assert {name for name in names if f"`{name}`" not in page} - {"STATIC_URL"} == set()


def test_every_dependency_has_its_reason() -> None:
    page = (CHECKOUT / "docs/dependencies.md").read_text()
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    groups = project["dependency-groups"].values()
    wanted = project["project"]["dependencies"] + [text for group in groups for text in group if isinstance(text, str)]
    names = {re.split(r"[~=<>]", text)[0] for text in wanted}
    assert {name for name in names if not re.search(rf"(^\| |, ){re.escape(name)}( \||,)", page, re.MULTILINE)} == set()
