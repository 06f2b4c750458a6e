import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from shredder.embedded.errors import CannotStart
from shredder.embedded.home import CHECKOUT
from shredder.embedded.postgres import Postgres
from shredder.embedded.processes import command_line
from shredder.embedded.servers import RunningServers
from shredder.embedded.state import load_state

START_AND_WAIT = """
import sys, time
from pathlib import Path
from shredder.embedded.servers import RunningServers
RunningServers(Path(sys.argv[1]))
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    # Not tmp_path: its parents are closed to the user that root's PostgreSQL runs under.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def postmaster(home: Path) -> int:
    return int((home / "postgres/data/postmaster.pid").read_text().split()[0])


def test_servers_of_a_killed_run_are_stopped_and_their_data_kept(home: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", START_AND_WAIT, home], cwd=CHECKOUT, stdout=subprocess.PIPE)
    assert first.stdout is not None
    assert first.stdout.readline() == b"up\n"
    orphan = postmaster(home)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert str(home) in command_line(orphan)
    servers = RunningServers(home)
    assert postmaster(home) != orphan
    assert str(home) not in command_line(orphan)
    servers.stop()
    assert not (home / "postgres/data/postmaster.pid").exists()
    assert not (home / "valkey/valkey.pid").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="syncfs is a call of Linux")
def test_a_database_that_was_killed_is_back_without_syncing_each_of_its_files(home: Path) -> None:
    first = RunningServers(home)
    os.kill(postmaster(home), signal.SIGKILL)
    first.stop()
    again = RunningServers(home)
    try:
        url = load_state(home).database_url
        with psycopg.connect(url) as connection:
            assert connection.execute("SHOW recovery_init_sync_method").fetchone() == ("syncfs",)
    finally:
        again.stop()
    assert "automatic recovery in progress" in (home / "postgres.log").read_text()


def test_a_cluster_that_was_interrupted_is_made_again(home: Path) -> None:
    data = home / "postgres/data"
    data.mkdir(parents=True)
    (data / "half").touch()
    postgres = Postgres(home, load_state(home))
    postgres.prepare()
    assert not (data / "half").exists()
    assert (data / "PG_VERSION").exists()
    if os.geteuid() == 0:
        assert data.stat().st_uid == postgres.user.uid != 0


def test_a_cluster_with_another_password_is_not_touched(home: Path) -> None:
    (home / "postgres").mkdir()
    (home / "postgres/ready").write_text("another password's fingerprint")
    with pytest.raises(CannotStart, match="does not belong to"):
        Postgres(home, load_state(home)).prepare()
