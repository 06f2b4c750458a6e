"""PostgreSQL stops under a running proxy: nothing is forwarded, nothing is lost, and it recovers by itself."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from shredder.embedded.postgres import Postgres
from shredder.embedded.processes import stop
from shredder.embedded.servers import prepare_servers
from shredder.embedded.state import load_state
from tests.fakes.servers import ProviderFake, provider_fake
from tests.proxy.crowd import wait_for
from tests.proxy.load import chat_body
from tests.servers import CHECKOUT, ProxyServer, proxy_server

READY_SECONDS_MAX = 60


class Database:
    """A PostgreSQL of the test's own that can be stopped and started."""

    def __init__(self, home: Path) -> None:
        home.chmod(0o711)
        self.home = home
        self.postgres: Postgres = prepare_servers(home)[0]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        state = load_state(self.home)
        urls = {"DATABASE_URL": state.database_url, "REDIS_URL": state.redis_url}
        return {"SHREDDER_HOME": str(self.home), **urls}

    def start(self) -> None:
        with (self.home / "postgres.log").open("ab") as log:
            self.process = self.postgres.spawn(log)
        deadline = time.monotonic() + READY_SECONDS_MAX
        while not self.postgres.is_ready(self.process):
            assert time.monotonic() < deadline, (self.home / "postgres.log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        assert self.process is not None
        stop(self.process, signal.SIGINT, 30)

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py on it."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=CHECKOUT, env=os.environ | self.environment,
            check=True, stdout=subprocess.PIPE,
        )  # fmt: skip
        return done.stdout.decode()


@dataclass
class Scene:
    database: Database
    server: ProxyServer
    fake: ProviderFake
    key: str

    def call(self, words: str = "tokens_out=5") -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        url = f"{self.server.openai_base_url}/chat/completions"
        return httpx.post(url, content=chat_body(words), headers=headers, timeout=60)

    def get(self, path: str) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.get(f"{self.server.openai_base_url}/{path}", headers=headers, timeout=60)


@contextmanager
def _scene(folder: Path) -> Iterator[Scene]:
    home = folder / "home"
    home.mkdir()
    folder.chmod(0o711)
    database = Database(home)
    try:
        database.manage("migrate", "--no-input", "--verbosity", "0")
        provisioned = database.manage(
            "provision", "--email", "a@acme.example", "--organisation", "Acme", "--agent", "bot",
            "--daily-budget", "5", "--provider", "openai=sk-fake",
        )  # fmt: skip
        with provider_fake(folder) as fake:
            environment = {"SHREDDER_OPENAI_BASE_URL": fake.openai_base_url, **database.environment}
            with proxy_server(folder / "server.log", environment=environment) as server:
                yield Scene(database, server, fake, json.loads(provisioned)["key"])
    finally:
        database.stop()


@pytest.fixture
def scene() -> Iterator[Scene]:
    # Not below pytest's own folder: PostgreSQL's user must get through, and another run would lock it out.
    with TemporaryDirectory(prefix=f"awx-shredder-test-{os.getpid()}-") as folder, _scene(Path(folder)) as ready:
        yield ready


def test_without_postgresql_nothing_passes_and_nothing_is_lost(scene: Scene) -> None:
    assert scene.call().status_code == 200
    running: list[httpx.Response] = []
    slow = threading.Thread(target=lambda: running.append(scene.call("tokens_out=7 delay_ms=4000")))
    slow.start()
    wait_for(lambda: scene.fake.stats()["requests"] == 2)

    scene.database.stop()
    for _ in range(5):
        refused = scene.call()
        assert refused.status_code == 503
        assert refused.headers["x-should-retry"] == "true"
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert refused.json()["error"]["awx"]["reason"] == "ledger_away"
    assert scene.fake.stats()["requests"] == 2
    assert httpx.get(f"{scene.server.address}/readyz", timeout=30).status_code == 503
    slow.join()
    assert running[0].status_code == 200, "the answer of a running call is not held up"

    scene.database.start()
    deadline = time.monotonic() + 30
    while scene.call().status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    kept = scene.get(f"calls/{running[0].headers['x-awx-call-id']}").json()
    assert (kept["status"], kept["basis"], kept["usage"]["output_tokens"]) == ("settled", "usage", 7)
    budget = next(budget for budget in scene.get("budget").json()["budgets"] if budget["scope"] == "agent")
    assert float(budget["spent"]) == float(scene.fake.billed_usd())
    assert float(budget["held"]) == 0
