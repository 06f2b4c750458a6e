"""The clients' suite: collected only when it is named, as ./dev clients does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.environments import FRAMEWORKS, NODE_MODULES, SDKS
from tests.proxy.stage import Stage, stage
from tests.servers import committed_database, database_template

__all__ = ["committed_database", "database_template"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    named = any("tests/clients" in str(argument) for argument in config.invocation_params.args)
    return None if named else True


def pytest_sessionstart(session: pytest.Session) -> None:
    missing = [str(path) for path in (SDKS, FRAMEWORKS, NODE_MODULES) if not path.exists()]
    if missing:
        pytest.exit(f"the clients are not installed ({', '.join(missing)}): run ./dev clients", returncode=3)


@pytest.fixture(scope="module")
def whole_stage(committed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage")) as ready:
        yield ready


@pytest.fixture
def on(whole_stage: Stage) -> Stage:
    """The stage, with nothing left of other tests at the provider."""
    whole_stage.fake.reset()
    return whole_stage
