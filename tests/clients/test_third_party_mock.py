"""The same programs, with somebody else's mock of the providers instead of our fake."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.callers import variables
from tests.clients.environments import run_program
from tests.clients.mock import Mock, third_party_mock
from tests.clients.roster import CLIENTS, Client
from tests.proxy.stage import Stage, Worker, all_settled
from tests.servers import ProxyServer, proxy_server

ANSWER = "word word word word word"
INPUT_TOKENS, OUTPUT_TOKENS = 12, 7
# One of each SDK and framework in each dialect; the rest differ in how they take a refusal, which no provider sees.
DRIVEN = [client for client in CLIENTS if client.name != "llama-index-402"]


@dataclass(frozen=True)
class Mocked:
    """Shredder with the mock behind it."""

    mock: Mock
    server: ProxyServer


@dataclass(frozen=True)
class Heard:
    """What a client saw, and as whom it called."""

    client: Client
    worker: Worker
    seen: dict[str, Any]
    upstream: list[dict[str, Any]]


@pytest.fixture(scope="module")
def mocked(whole_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mocked]:
    log = tmp_path_factory.mktemp("mocked") / "server.log"
    with third_party_mock() as mock, proxy_server(log, environment=mock.environment()) as server:
        yield Mocked(mock, server)


@pytest.fixture(scope="module", params=DRIVEN, ids=lambda client: client.name)
def heard(
    request: pytest.FixtureRequest, mocked: Mocked, whole_stage: Stage, tmp_path_factory: pytest.TempPathFactory
) -> Heard:
    client: Client = request.param
    steps = [step for step in client.steps if step != "count"]  # the mock counts no tokens
    worker, before = whole_stage.worker(), len(mocked.mock.journal())
    seen = run_program(
        client.program, *client.arguments, *steps,
        python=client.python, home=tmp_path_factory.mktemp(client.name),
        environment={**variables(mocked.server, worker.key), "API_VERSION": "v1beta"},  # the one of Google's it has
    )  # fmt: skip
    all_settled()
    return Heard(client, worker, seen, mocked.mock.journal()[before:])


def test_every_step_is_done(heard: Heard) -> None:
    for name, seen in heard.seen.items():
        if name.endswith(("plain", "stream")):
            assert seen.get("text") == ANSWER, (name, seen)
            assert seen.get("pieces", 5) == 5
        if name.endswith("tool"):
            assert (seen.get("tool"), seen.get("arguments")) == ("look", {"at": 1}), (name, seen)


def test_each_call_is_one_request_and_paid_by_the_mocks_usage(heard: Heard) -> None:
    rows = heard.worker.calls()
    assert len(rows) == len(heard.upstream) == heard.client.requests
    assert {(row.status, row.basis) for row in rows} == {("settled", "usage")}
    assert {(row.input_tokens, row.output_tokens) for row in rows} == {(INPUT_TOKENS, OUTPUT_TOKENS)}
    assert heard.worker.held_pico == 0 < heard.worker.spent_pico
