"""A worker dies at a named point of a call: what it held is charged once, at its ceiling, or was never held."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import orjson
import pytest

from agents.audit import audit
from agents.ledger import Ledger, faults
from agents.models import Call, Reservation, StoredResponse
from tests import cast
from tests.fakes.servers import provider_fake
from tests.proxy.load import chat_body
from tests.proxy.stage import PROVIDER_KEY, Stage, Worker, connect_providers, upstreams
from tests.servers import proxy_server

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def theatre(committed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """People and a provider; each test brings a server of its own, which dies."""
    alice, charlie = cast.alice(), cast.charlie()
    connect_providers(alice)
    with provider_fake(tmp_path_factory.mktemp("fake"), key=PROVIDER_KEY) as fake:
        yield Stage(None, fake, alice, charlie)  # type: ignore[arg-type]


@contextmanager
def doomed(theatre: Stage, folder: Path, fault: str) -> Iterator[Stage]:
    """A server that dies where `fault` says."""
    theatre.fake.reset()
    environment = {**upstreams(theatre.fake), "SHREDDER_FAULT": fault}
    with proxy_server(folder / "server.log", environment=environment) as server:
        yield Stage(server, theatre.fake, theatre.alice, theatre.charlie)


def call_until_death(
    on: Stage, worker: Worker, words: str = "", *, stream: bool = False, path: str = "chat/completions",
    json: object = None,
) -> str:  # fmt: skip
    """Make a call during which the server dies; returns what had arrived. json: its body, where it is no chat."""
    arrived = []
    url = f"{on.server.openai_base_url}/{path}"
    content = chat_body(words, stream=stream) if json is None else orjson.dumps(json)
    headers = {"authorization": f"Bearer {worker.key}"} | JSON
    with (
        suppress(httpx.TransportError),
        httpx.stream("POST", url, content=content, headers=headers, timeout=30) as response,
    ):
        arrived.extend(response.iter_text())
    assert on.server.processes[0].wait(10) == faults.EXIT_STATUS
    return "".join(arrived)


def neighbour_sweeps() -> None:
    """A process of the same machine sees who died and expires what it held."""

    async def sweep() -> None:
        ledger = Ledger()
        await ledger.start()
        async with asyncio.timeout(10):
            while await asyncio.to_thread(Reservation.objects.exists):
                await asyncio.sleep(0.02)
        await ledger.stop()

    asyncio.run(sweep())


def test_death_before_the_reserve_records_nothing(theatre: Stage, tmp_path: Path) -> None:
    """Row 1 of docs/reliability.md."""
    worker = theatre.worker()
    with doomed(theatre, tmp_path, "before_reserve") as on:
        call_until_death(on, worker, "tokens_out=5")
    assert not Reservation.objects.exists()
    assert worker.calls() == []
    assert worker.spent_pico == worker.held_pico == theatre.fake.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("fault", "is_stream", "is_billed"),
    [
        pytest.param("after_reserve", False, False, id="held, not forwarded"),
        pytest.param("after_answer_head", False, True, id="answered, not read"),
        pytest.param("mid_stream:3", True, True, id="in the middle of a stream"),
        pytest.param("before_settle", False, True, id="read, not settled"),
    ],
)
def test_death_while_a_ceiling_is_held_charges_it_and_says_so(
    theatre: Stage, tmp_path: Path, fault: str, is_stream: bool, is_billed: bool
) -> None:
    """Rows 3, 7 and 9 of docs/reliability.md; I4: a sweeper turns the hold into a charge."""
    worker = theatre.worker()
    with doomed(theatre, tmp_path, fault) as on:
        arrived = call_until_death(on, worker, "tokens_out=5 chunks=8 chunk_ms=20", stream=is_stream)
    assert ("word" in arrived) == is_stream
    assert worker.held_pico > worker.spent_pico == 0
    assert theatre.fake.stats()["billed"] == is_billed
    neighbour_sweeps()
    [row] = worker.calls()
    assert (row.status, row.basis, row.reason, row.cost_pico) == ("expired", "worst_case", "expired", row.held_pico)
    assert row.model == "gpt-4o-mini"
    assert worker.held_pico == 0
    assert worker.spent_pico == row.held_pico >= theatre.fake.billed_pico()
    report = audit()
    assert report.ok, "\n".join(report.lines())


def test_death_before_an_answer_is_noted_leaves_nothing_to_continue(theatre: Stage, tmp_path: Path) -> None:
    """The provider keeps the answer, the agent never saw its end, and its id is worth nothing here."""
    worker = theatre.worker()
    body = {"model": "gpt-4o-mini", "input": "Go [[tokens_out=5]]", "stream": True, "max_output_tokens": 50}
    with doomed(theatre, tmp_path, "before_remember") as on:
        arrived = call_until_death(on, worker, json=body, path="responses")
    assert "response.completed" not in arrived
    assert theatre.fake.stats()["billed"] == 1
    neighbour_sweeps()
    [row] = worker.calls()
    assert (row.status, row.basis, row.cost_pico) == ("expired", "worst_case", row.held_pico)
    assert not StoredResponse.objects.filter(agent_id=worker.agent.pk).exists()


def test_death_after_the_settle_landed_keeps_the_actual_cost(theatre: Stage, tmp_path: Path) -> None:
    """Row 10 of docs/reliability.md: the process never heard the answer, and nobody charges again."""
    worker = theatre.worker()
    with doomed(theatre, tmp_path, "after_settle_sent") as on:
        call_until_death(on, worker, "tokens_out=5")
    neighbour_sweeps()
    [row] = worker.calls()
    assert (row.status, row.basis) == ("settled", "usage")
    assert worker.held_pico == 0
    assert worker.spent_pico == theatre.fake.billed_pico() > 0
    assert Call.objects.filter(call_id=row.call_id).count() == 1
