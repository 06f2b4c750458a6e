import json
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from shredder.embedded.errors import CannotStart
from shredder.embedded.home import CHECKOUT
from shredder.embedded.state import keep_free_ports, load_state

READ = "import sys; from pathlib import Path; from shredder.embedded.state import load_state\n"
READ += "print(load_state(Path(sys.argv[1])).database_url)"


def test_processes_that_begin_together_agree(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-c", READ, str(home)]
    readers = [subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    answers = {reader.communicate(timeout=60)[0] for reader in readers}
    assert len(answers) == 1
    assert [path.name for path in home.iterdir()] == ["state.json"]


def test_only_the_owner_can_read_the_passwords(tmp_path: Path) -> None:
    load_state(tmp_path / "home")
    assert stat.S_IMODE((tmp_path / "home" / "state.json").stat().st_mode) == 0o600


def test_a_taken_port_is_left_for_another(tmp_path: Path) -> None:
    before = load_state(tmp_path)
    with socket.create_server(("127.0.0.1", before.postgres_port)):
        after = keep_free_ports(tmp_path)
    assert after.postgres_port != before.postgres_port
    assert (after.valkey_port, after.password) == (before.valkey_port, before.password)
    assert load_state(tmp_path) == after


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps({"password": "only"}))
    with pytest.raises(CannotStart, match=r"state\.json is damaged"):
        load_state(tmp_path)
