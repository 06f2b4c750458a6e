"""F6 in small: Valkey is flushed, stopped and frozen. Budgets hold, each process counts for itself and says so."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from django.test import Client

from agents.audit import audit
from tests.cast import Person
from tests.proxy.guards.guarded import awx, chat, guarded, statuses
from tests.proxy.stage import Stage, all_settled, stage
from tests.servers import proxy_server
from tests.valkey import PrivateValkey, private_valkey

SAID_SECONDS_MAX = 30.0
PROCESSES = 2
BLINK_SECONDS = 0.5  # longer than a busy machine's, which would make a process count alone too early


@pytest.fixture(scope="module")
def scene(committed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, PrivateValkey]]:
    folder = tmp_path_factory.mktemp("away")
    with private_valkey(folder) as valkey:
        environment = {"SHREDDER_PROXY_SECONDS": f"guards={BLINK_SECONDS}", "REDIS_URL": valkey.url}
        with stage(folder, workers=PROCESSES, environment=environment) as on:
            yield on, valkey


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SAID_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def degraded_count(on: Stage) -> float:
    """As /metrics says it."""
    text = httpx.get(f"{on.server.address}/metrics", timeout=30).text
    (line,) = [line for line in text.splitlines() if line.startswith("shredder_guards_degraded ")]
    return float(line.split()[1])


def sees_banner(person: Person) -> bool:
    """Whether a page that the person opens says that Valkey is away."""
    client = Client()
    client.force_login(person.user)
    page = client.get("/agents/")
    assert page.status_code == 200
    return "Valkey is away" in page.content.decode()


def test_without_valkey_budgets_hold_and_each_process_counts_alone_and_says_so(
    scene: tuple[Stage, PrivateValkey],
) -> None:
    on, valkey = scene
    assert degraded_count(on) == 0
    assert not sees_banner(on.alice)
    worker = guarded(on, calls_per_minute=5)
    assert statuses(on, worker, 7) == [200] * 5 + [429] * 2

    valkey.ask("FLUSHALL")
    assert statuses(on, worker, 7) == [200] * 5 + [429] * 2, "a flush forgets the minute and breaks nothing"

    valkey.stop()
    until(lambda: degraded_count(on) == PROCESSES, "not every process said that it counts alone")
    assert sees_banner(on.alice)
    assert "Valkey is away" not in Client().get("/").content.decode(), "a stranger is told nothing"
    alone = statuses(on, worker, 30)
    assert set(alone) == {200, 429}
    assert 5 <= alone.count(200) <= 5 * PROCESSES, "each process lets the limit through once"
    assert awx(chat(on, worker))["reason"] == "rate_limited"
    poor = guarded(on, "0.000002", calls_per_minute=50)
    assert 200 not in statuses(on, poor, 3), "dollars do not depend on Valkey"

    valkey.start()
    until(lambda: degraded_count(on) == 0, "not every process said that Valkey is back")
    assert not sees_banner(on.alice)
    assert statuses(on, guarded(on, calls_per_minute=5), 7) == [200] * 5 + [429] * 2
    all_settled()
    report = audit()
    assert report.ok, "\n".join(report.lines())


def test_a_valkey_that_hangs_delays_a_few_calls_and_not_each(scene: tuple[Stage, PrivateValkey]) -> None:
    on, valkey = scene
    worker = guarded(on, calls_per_minute=1_000)
    assert statuses(on, worker, 4) == [200] * 4
    valkey.freeze()
    try:
        began = time.monotonic()
        assert statuses(on, worker, 40) == [200] * 40
        assert time.monotonic() - began < 10, "each call waited"
        until(lambda: degraded_count(on) == PROCESSES, "not every process said that it counts alone")
    finally:
        valkey.thaw()
    until(lambda: degraded_count(on) == 0, "not every process said that Valkey is back")


def test_a_process_that_starts_without_valkey_serves_and_says_so(
    scene: tuple[Stage, PrivateValkey], tmp_path: Path
) -> None:
    on, _ = scene
    environment = {**on.server.environment, "REDIS_URL": "redis://:secret@127.0.0.1:9/0"}
    with proxy_server(tmp_path / "server.log", environment=environment) as server:
        lonely = replace(on, server=server)
        assert statuses(lonely, guarded(lonely, calls_per_minute=2), 3) == [200, 200, 429]
        until(lambda: degraded_count(lonely) == 1, "it did not say that it counts alone")
        assert "secret" not in server.log.read_text(), "Valkey's password stays out of the logs"
