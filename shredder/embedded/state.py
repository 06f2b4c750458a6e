"""Passwords, ports and development secrets of one data folder, known before any server runs."""

import base64
import contextlib
import json
import os
import secrets
import socket
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from shredder.embedded.errors import CannotStart
from shredder.embedded.home import make_home

# Below the range that systems hand to outgoing connections, so that a port stays free between two runs.
LOWEST_PORT, HIGHEST_PORT = 20_000, 32_000
PORT_ATTEMPTS_MAX = 200


@dataclass(frozen=True, slots=True)
class State:
    """What two processes must agree on; `vault_key` has the form of SHREDDER_VAULT_KEYS."""

    password: str
    postgres_port: int
    valkey_port: int
    secret_key: str
    key_pepper: str
    vault_key: str

    @property
    def database_url(self) -> str:
        return f"postgres://shredder:{self.password}@127.0.0.1:{self.postgres_port}/shredder"

    @property
    def redis_url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.valkey_port}/0"


def load_state(home: Path) -> State:
    """Read the folder's state, making it on first need; every process gets the same one."""
    path = home / "state.json"
    with contextlib.suppress(FileNotFoundError):
        return _read(path)
    make_home(home)
    # link() fails when another process was first, so the loser reads the winner's file.
    temporary = _write_beside(path, _new_state())
    try:
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
    return _read(path)


def keep_free_ports(home: Path) -> State:
    """Give a server another port when its own is taken; only the holder of the folder's lock may call this."""
    state = load_state(home)
    moved = state
    if not port_is_free(state.postgres_port):
        moved = replace(moved, postgres_port=free_port())
    if not port_is_free(state.valkey_port):
        moved = replace(moved, valkey_port=free_port())
    if moved != state:
        _write_beside(home / "state.json", moved).replace(home / "state.json")
    return moved


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A random port of 127.0.0.1 that nobody listens on."""
    for _ in range(PORT_ATTEMPTS_MAX):
        port = LOWEST_PORT + secrets.randbelow(HIGHEST_PORT - LOWEST_PORT)
        if port_is_free(port):
            return port
    raise CannotStart(f"no free port between {LOWEST_PORT} and {HIGHEST_PORT} on 127.0.0.1")


def _new_state() -> State:
    return State(
        password=secrets.token_urlsafe(24),
        postgres_port=free_port(),
        valkey_port=free_port(),
        secret_key=secrets.token_urlsafe(48),
        key_pepper=secrets.token_urlsafe(32),
        vault_key="1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
    )


def _read(path: Path) -> State:
    text = path.read_text()
    try:
        return State(**json.loads(text))
    except (ValueError, TypeError):
        raise CannotStart(f"{path} is damaged: restore it, or delete the whole folder to begin again") from None


def _write_beside(path: Path, state: State) -> Path:
    """Write the state to a new 0600 file in the same folder."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix="state-")
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(state), file, indent=1)
    return Path(name)
