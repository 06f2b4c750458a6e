"""The slow suite: collected only when it is named, as ./dev faults does."""

from pathlib import Path

import pytest

from tests.servers import committed_database, database_template, fresh_database

__all__ = ["committed_database", "database_template", "fresh_database"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = any("faults" in str(argument) for argument in config.invocation_params.args)
    return None if named else True
