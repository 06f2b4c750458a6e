"""Providers that fail and clients that leave: the ledger never falls behind the bill."""

import asyncio
import socket
import time
from typing import Any

import aiohttp
import httpx
import pytest

from agents.models import Call
from agents.money import usd_exact
from tests.proxy.crowd import wait_for
from tests.proxy.load import chat_body
from tests.proxy.stage import Stage, Worker, all_settled, settled

JSON = {"content-type": "application/json"}
ANTHROPIC = {"anthropic-version": "2023-06-01"}


def chat(on: Stage, worker: Worker, words: str, *, stream: bool = False) -> httpx.Response:
    return on.post(worker.key, content=chat_body(words, cap=50, stream=stream), headers=JSON)


def messages(on: Stage, worker: Worker, words: str, *, stream: bool = False) -> httpx.Response:
    body: dict[str, Any] = {
        "model": "claude-haiku-4-5",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": f"Go [[{words}]]"}],
        "stream": stream,
    }
    return on.post(worker.key, "/v1/messages", json=body, headers=ANTHROPIC)


def row_of(answer: httpx.Response) -> Call:
    """The call's row; what an answer of any kind says of it beside its body is true (W8)."""
    row = settled(answer.headers["x-awx-call-id"])
    is_stream = answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers.get("x-awx-call-cost") == (None if is_stream else usd_exact(row.cost_pico))
    assert answer.headers["x-awx-budget-limit"] == "5.000000"
    return row


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500, 502, 503, 529])
def test_an_error_of_the_provider_passes_through_and_costs_nothing(on: Stage, status: int) -> None:
    """C6."""
    worker = on.worker()
    answer = chat(on, worker, f"status={status} retry_after=7")
    assert answer.status_code == status
    assert answer.headers["retry-after"] == "7"
    assert "awx" not in answer.json()["error"]
    row = row_of(answer)
    assert (row.status, row.cost_pico, row.http_status, row.failed) == ("voided", 0, status, True)
    assert worker.spent_pico == worker.held_pico == 0


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_provider_key_becomes_a_502_without_the_providers_words(on: Stage, status: int) -> None:
    worker = on.worker()
    answer = chat(on, worker, f"status={status}")
    assert answer.status_code == 502
    assert answer.headers["x-should-retry"] == "false"
    assert "/settings/providers/" in answer.json()["error"]["message"]
    assert "sk-" not in answer.text
    assert (row_of(answer).reason, row_of(answer).status) == ("provider_key_rejected", "voided")


@pytest.mark.parametrize("status", [408, 504])
def test_a_provider_that_gave_up_may_have_billed(on: Stage, status: int) -> None:
    answer = chat(on, on.worker(), f"status={status}")
    row = row_of(answer)
    assert answer.status_code == status
    assert answer.headers["x-should-retry"] == "false"
    assert (row.basis, row.cost_pico) == ("worst_case", row.held_pico)


def test_a_reset_after_the_request_was_sent_charges_the_ceiling_and_is_not_retried(on: Stage) -> None:
    worker = on.worker()
    answer = chat(on, worker, "reset=1")
    assert answer.status_code == 502
    assert answer.headers["x-should-retry"] == "false"
    row = row_of(answer)
    assert (row.status, row.basis, row.cost_pico) == ("settled", "worst_case", row.held_pico)
    assert worker.spent_pico >= on.fake.billed_pico() > 0


def test_half_an_answer_charges_the_ceiling(on: Stage) -> None:
    worker = on.worker()
    answer = chat(on, worker, "cut_after=1")
    assert answer.status_code == 502
    assert answer.headers["x-should-retry"] == "false"
    assert row_of(answer).cost_pico == row_of(answer).held_pico
    assert worker.spent_pico >= on.fake.billed_pico() > 0


@pytest.mark.parametrize("words", ["no_usage=1", "usage=negative", "usage=huge", "usage=text", "usage=missing"])
@pytest.mark.parametrize("stream", [False, True])
def test_usage_that_is_missing_or_impossible_charges_the_ceiling_as_an_estimate(
    on: Stage, words: str, stream: bool
) -> None:
    """Scenario B23."""
    answer = chat(on, on.worker(), words, stream=stream)
    assert answer.status_code == 200
    row = row_of(answer)
    assert (row.status, row.basis, row.cost_pico) == ("settled", "estimated", row.held_pico)


@pytest.mark.parametrize("chunks", range(5))
def test_a_stream_that_breaks_off_ends_with_an_error_event_and_the_ceiling(on: Stage, chunks: int) -> None:
    """C11."""
    worker = on.worker()
    answer = chat(on, worker, f"cut_after={chunks}", stream=True)
    assert answer.status_code == 200
    assert '"reason":"provider_cut"' in answer.text.splitlines()[-2]
    row = row_of(answer)
    assert (row.basis, row.cost_pico, row.failed) == ("worst_case", row.held_pico, True)
    assert worker.spent_pico >= on.fake.billed_pico() > 0


@pytest.mark.parametrize("chunks", range(5))
def test_a_broken_anthropic_stream_is_charged_its_input_and_the_whole_output_bound(on: Stage, chunks: int) -> None:
    worker = on.worker()
    answer = messages(on, worker, f"cut_after={chunks}", stream=True)
    assert answer.text.splitlines()[-3] == "event: error"
    row = row_of(answer)
    assert (row.basis, row.output_tokens) == ("estimated", 50)
    assert row.held_pico > row.cost_pico >= on.fake.billed_pico() > 0


def test_an_error_event_of_the_provider_passes_through_once(on: Stage) -> None:
    answer = chat(on, on.worker(), "error_after=2", stream=True)
    assert answer.text.count('"error"') == 1
    assert row_of(answer).cost_pico == row_of(answer).held_pico


@pytest.mark.parametrize("words", ["drip=1", "drip=7", "crlf=1", "comments=1"])
def test_a_stream_in_odd_pieces_is_metered_all_the_same(on: Stage, words: str) -> None:
    worker = on.worker()
    answer = chat(on, worker, f"{words} tokens_out=9", stream=True)
    assert row_of(answer).basis == "usage"
    assert worker.spent_pico == on.fake.billed_pico() > 0
    assert '"usage"' not in answer.text


def test_a_stream_arrives_piece_by_piece_and_not_in_one_burst(on: Stage) -> None:
    """C10."""
    headers = {"authorization": f"Bearer {on.worker().key}"} | JSON
    url = f"{on.server.openai_base_url}/chat/completions"
    body = chat_body("chunks=6 chunk_ms=100", stream=True)
    arrivals = []
    with httpx.stream("POST", url, content=body, headers=headers) as response:
        for chunk in response.iter_raw():
            arrivals.extend([time.monotonic()] * chunk.count(b"content"))
    assert arrivals[-1] - arrivals[0] > 0.3


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_client_that_leaves_a_stream_is_charged_what_the_provider_bills(on: Stage, after: int) -> None:
    """C3, C4: it is read on to the provider's end."""
    worker = on.worker()
    body = chat_body("chunks=8 chunk_ms=40 tokens_out=40", cap=50, stream=True)
    headers = {"authorization": f"Bearer {worker.key}"} | JSON
    with httpx.stream(
        "POST", f"{on.server.openai_base_url}/chat/completions", content=body, headers=headers
    ) as response:
        chunks = response.iter_raw()
        for _ in range(after):
            next(chunks)
    row = row_of(response)
    assert (row.status, row.basis) == ("settled", "usage")
    assert worker.spent_pico == on.fake.billed_pico() > 0
    assert worker.held_pico == 0


def test_a_client_that_leaves_before_a_plain_answer_is_charged_it(on: Stage) -> None:
    """C7."""
    worker = on.worker()
    body = chat_body("delay_ms=800 tokens_out=40", cap=50)
    head = (
        f"POST /proxy/v1/chat/completions HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {worker.key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", on.server.port), timeout=10) as client:
        client.sendall(head.encode() + body)
        wait_for(lambda: on.fake.stats()["open"] == 1)
    wait_for(lambda: bool(worker.calls()))
    assert [row.basis for row in worker.calls()] == ["usage"]
    assert worker.spent_pico == on.fake.billed_pico() > 0


async def _many_that_leave(on: Stage, worker: Worker, count: int) -> None:
    async def leave(session: aiohttp.ClientSession, number: int) -> None:
        headers = {"authorization": f"Bearer {worker.key}"} | JSON
        body = chat_body("chunks=6 chunk_ms=30", cap=50, stream=True)
        url = f"{on.server.openai_base_url}/chat/completions"
        async with session.post(url, data=body, headers=headers) as response:
            for _ in range(number % 5):
                await response.content.readany()
            response.close()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(leave(session, number) for number in range(count)))


def test_a_crowd_that_leaves_holds_nothing_and_owes_what_was_billed(on: Stage) -> None:
    """C8: nothing is left open at the provider."""
    worker = on.worker()
    asyncio.run(_many_that_leave(on, worker, 60))
    all_settled()
    assert worker.held_pico == 0
    assert worker.spent_pico == on.fake.billed_pico() > 0
    assert len(worker.calls()) == 60
    wait_for(lambda: on.fake.stats()["open"] == 0)  # it closes its side a moment after its last byte


def test_a_cost_above_the_ceiling_is_booked_as_it_is_and_stops_the_model(on: Stage) -> None:
    worker = on.worker()
    body = {
        "model": "gpt-3.5-turbo",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "Go [[tokens_in=5000]]"}],
    }
    answer = on.post(worker.key, json=body)
    row = row_of(answer)
    assert row.cost_pico > row.held_pico
    assert row.facts["overrun_pico"] == row.cost_pico - row.held_pico
    assert worker.spent_pico == row.cost_pico == on.fake.billed_pico()
    assert on.post(worker.key, json=body).json()["error"]["code"] == "unpriced_model"
