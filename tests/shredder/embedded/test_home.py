from pathlib import Path

import pytest

from shredder.embedded.errors import CannotStart
from shredder.embedded.home import servers_are_embedded, sole_owner


@pytest.mark.parametrize(("given", "missing"), [("DATABASE_URL", "REDIS_URL"), ("REDIS_URL", "DATABASE_URL")])
def test_one_server_of_two_is_a_mistake(given: str, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(given, "somewhere")
    monkeypatch.delenv(missing, raising=False)
    with pytest.raises(CannotStart, match=f"{given} is set but {missing} is not"):
        servers_are_embedded()


def test_a_folder_has_one_supervisor(tmp_path: Path) -> None:
    with sole_owner(tmp_path), pytest.raises(CannotStart, match="already running"), sole_owner(tmp_path):
        pass
    with sole_owner(tmp_path):
        pass
