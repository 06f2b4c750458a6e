"""Real parts for the proxy's tests: a database that other processes see, a server on it, a provider fake."""

from collections.abc import Iterator

import pytest

from tests.proxy.stage import Stage, stage
from tests.servers import committed_database, database_template, fresh_database

__all__ = ["committed_database", "database_template", "fresh_database"]


@pytest.fixture(scope="module")
def whole_stage(committed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


@pytest.fixture
def on(whole_stage: Stage) -> Stage:
    """The stage, with nothing left of other tests at the provider."""
    whole_stage.fake.reset()
    return whole_stage
