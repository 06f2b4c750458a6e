"""Streams as they failed others: costs that differ from plain calls, lost first attempts, sockets past the budget."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from agents.models import Call
from tests.proxy.stage import Stage, Worker, settled

ASK = [{"role": "user", "content": "Count to ten. [[tokens_in=40 tokens_out=9]]"}]
FORMS = {
    "openai": ("/v1/chat/completions", {"model": "gpt-4o-mini", "max_tokens": 50, "messages": ASK}),
    "responses": ("/v1/responses", {"model": "gpt-4o-mini", "max_output_tokens": 50, "input": ASK}),
    "anthropic": ("/v1/messages", {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": ASK}),
}


def call(on: Stage, worker: Worker, provider: str, **fields: Any) -> Call:
    path, body = FORMS[provider]
    return settled(on.post(worker.key, path, json=body | fields).headers["x-awx-call-id"])


@pytest.mark.parametrize("provider", FORMS)
def test_the_same_call_costs_the_same_streamed_and_not(on: Stage, provider: str) -> None:
    """C1."""
    worker = on.worker()
    plain, streamed = call(on, worker, provider), call(on, worker, provider, stream=True)
    assert plain.cost_pico == streamed.cost_pico > 0
    assert plain.basis == streamed.basis == "usage"


def test_a_first_attempt_that_broke_off_is_charged_and_seen_beside_the_second(on: Stage) -> None:
    """C9: the client tries again; we never do."""
    worker = on.worker()
    broken = [{"role": "user", "content": "Count to ten. [[cut_after=3]]"}]
    first = call(on, worker, "openai", messages=broken, stream=True)
    second = call(on, worker, "openai", stream=True)
    assert [row.call_id for row in worker.calls()] == [first.call_id, second.call_id]
    assert worker.spent_pico == first.cost_pico + second.cost_pico
    assert (first.basis, second.basis) == ("worst_case", "usage")


async def test_a_websocket_is_refused_at_its_handshake(on: Stage) -> None:
    """C12: no socket outlives a budget, because there is none."""
    address = urlsplit(on.server.address)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = (
        "GET /proxy/v1/realtime?model=gpt-realtime HTTP/1.1", f"Host: {address.netloc}", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )  # fmt: skip
    writer.write("\r\n".join((*lines, "", "")).encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
    writer.close()
    assert int(answer.split()[1]) >= 400
    assert on.fake.stats()["requests"] == 0
