"""Every client works behind Shredder as it would without it, and takes a refusal for what it is.

Each client is a program of its own (programs/), set up by the two lines of docs/clients.md. It runs twice: as an agent
with money, and as one whose budget is spent.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.callers import SPENT_LIMIT_USD, counted, spent_worker, variables
from tests.clients.environments import run_program
from tests.clients.roster import CLIENTS, Client
from tests.proxy.stage import Stage, Worker, all_settled

ANSWER = "word word word word word"


@dataclass(frozen=True)
class Heard:
    """What a client saw of the steps it did, as whom, and how many requests reached the provider."""

    client: Client
    worker: Worker
    seen: dict[str, Any]
    upstream_requests: int


@pytest.fixture(scope="module", params=CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest) -> Client:
    found: Client = request.param
    return found


def hear(on: Stage, client: Client, worker: Worker, steps: tuple[str, ...], home: Path) -> Heard:
    on.fake.reset()
    seen = run_program(
        client.program, *client.arguments, *steps,
        python=client.python, home=home, environment=variables(on.server, worker.key),
    )  # fmt: skip
    all_settled()
    return Heard(client, worker, seen, on.fake.stats()["requests"])


@pytest.fixture(scope="module")
def heard(client: Client, whole_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """The client with a budget that covers what it asks for."""
    return hear(whole_stage, client, whole_stage.worker(), client.steps, tmp_path_factory.mktemp(client.name))


@pytest.fixture(scope="module")
def refused(client: Client, whole_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Heard:
    """The client with nothing left."""
    worker = spent_worker(whole_stage, refusal_status=client.refusal_status)
    return hear(whole_stage, client, worker, client.refusals, tmp_path_factory.mktemp(client.name))


def test_a_plain_call_and_a_streamed_one_answer_as_the_provider_does(heard: Heard) -> None:
    """J1, J2, J3: no client stumbles over a chunk, and none sees one that the provider would not have sent."""
    texts = {name: seen.get("text", seen) for name, seen in heard.seen.items() if name.endswith(("plain", "stream"))}
    assert texts == dict.fromkeys(texts, ANSWER)
    assert len(texts) >= 2


def test_a_stream_comes_in_pieces(heard: Heard) -> None:
    pieces = [seen["pieces"] for name, seen in heard.seen.items() if name.endswith("stream") and "pieces" in seen]
    assert set(pieces) <= {5}


def test_a_tool_is_called_with_the_models_arguments(heard: Heard) -> None:
    called = {name: seen for name, seen in heard.seen.items() if name.endswith("tool")}
    assert called
    for seen in called.values():
        assert (seen.get("tool"), seen.get("arguments")) == ("look", {"at": 1}), seen
        assert seen.get("times", 1) == 1


def test_each_call_is_one_request_upstream_and_one_row_at_the_providers_price(heard: Heard, on: Stage) -> None:
    rows = heard.worker.calls()
    assert len(rows) == heard.client.requests
    assert {row.basis for row in rows} == {"usage"}
    assert heard.upstream_requests == heard.client.requests + heard.client.steps.count("count")
    assert heard.worker.held_pico == 0


def test_a_refusal_is_one_request_and_final(refused: Heard, on: Stage) -> None:
    """J4: one budget stop is one request for each call that the program makes, whatever the client retries."""
    assert counted(on, refused.worker) == len(refused.client.refusals)
    assert refused.upstream_requests == 0


def test_a_refusal_is_the_documented_exception(refused: Heard) -> None:
    """J6."""
    for name in refused.client.refusals:
        seen = refused.seen[name]
        assert refused.client.refusal_class in seen.get("classes", ()), seen
        assert seen["status"] == refused.client.refusal_status


def test_the_exceptions_message_says_who_what_and_when(refused: Heard) -> None:
    """J6: agent, budget, spent and reset are in the text that ends up in a log."""
    for name in refused.client.refusals:
        message = refused.seen[name]["message"]
        assert f"Agent {refused.worker.agent.name}" in message
        assert f"(${SPENT_LIMIT_USD} per day) has ${SPENT_LIMIT_USD} spent" in message
        assert "resets" in message
