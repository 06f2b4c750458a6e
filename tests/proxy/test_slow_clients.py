"""Clients that reset, dawdle or read nothing: bounded, settled, and nobody else waits for them."""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator

import httpx
import orjson
import pytest

from agents.models import Reservation
from tests.agents.ledger_house import in_thread
from tests.proxy.crowd import wait_for
from tests.proxy.load import chat_body
from tests.proxy.stage import Stage, Worker, all_settled, stage

EVENTS = 8
SLOW_HEADS = 300
GOOD_SECONDS_MAX = 3.0
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset instead of an end


@pytest.fixture(scope="module")
def whole_stage(committed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    environment = {"SHREDDER_PROXY_SECONDS": "slow_reader=1,drain=10"}
    with stage(tmp_path_factory.mktemp("stage"), environment=environment) as ready:
        yield ready


def request(on: Stage, key: str, path: str, body: bytes) -> bytes:
    """A whole request as bytes."""
    head = (
        f"POST /proxy{path} HTTP/1.1\r\nHost: 127.0.0.1:{on.server.port}\r\nAuthorization: Bearer {key}\r\n"
        f"anthropic-version: 2023-06-01\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def streamed(path: str, words: str) -> bytes:
    """The body of a stream in the path's dialect."""
    if path == "/v1/chat/completions":
        return chat_body(words, cap=50, stream=True)
    message = {"role": "user", "content": f"Go [[{words}]]"}
    return orjson.dumps({"model": "claude-haiku-4-5", "max_tokens": 50, "messages": [message], "stream": True})


def good_call(on: Stage, worker: Worker) -> None:
    """A call of somebody who behaves, which is answered soon."""
    began = time.monotonic()
    answer = on.post(worker.key, content=chat_body("tokens_out=1"), headers={"content-type": "application/json"})
    assert answer.status_code == httpx.codes.OK
    assert time.monotonic() - began < GOOD_SECONDS_MAX


async def reset_after(on: Stage, worker: Worker, path: str, events: int) -> None:
    """Read so many events of a stream, then reset the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", on.server.port)
    writer.write(request(on, worker.key, path, streamed(path, f"chunks={EVENTS} chunk_ms=40 tokens_out=40")))
    await reader.readuntil(b"\r\n\r\n")
    for _ in range(events):
        await reader.readuntil(b"\n\n")
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_reset_at_any_event_is_charged_what_the_provider_bills(on: Stage, path: str) -> None:
    """C13: chat and messages alike. Row 19 of docs/reliability.md; F8 is the same at full size."""
    worker = await in_thread(on.worker)
    await asyncio.gather(*(reset_after(on, worker, path, events) for events in range(EVENTS + 3)))
    await in_thread(all_settled)
    rows = await in_thread(worker.calls)
    assert [(row.status, row.basis) for row in rows] == [("settled", "usage")] * (EVENTS + 3)
    assert await in_thread(lambda: worker.held_pico) == 0
    assert await in_thread(lambda: worker.spent_pico) == on.fake.billed_pico() > 0


def test_heads_that_do_not_end_hold_nothing_and_keep_nobody_waiting(on: Stage) -> None:
    """Row 22 of docs/reliability.md."""
    worker = on.worker()
    whole = request(on, worker.key, "/v1/chat/completions", chat_body("tokens_out=1"))
    slow = [socket.create_connection(("127.0.0.1", on.server.port), timeout=10) for _ in range(SLOW_HEADS)]
    try:
        for at in (0, 30, 60):
            for one in slow:
                one.sendall(whole[at : at + 30])
            good_call(on, worker)
        all_settled()
        assert on.fake.stats()["requests"] == 3
    finally:
        for one in slow:
            one.close()


def test_a_client_that_reads_nothing_is_left_and_its_call_settled(on: Stage) -> None:
    """Row 22 of docs/reliability.md: more than the buffers between hold, and nobody takes it."""
    worker = on.worker()
    on.fake.script(text="x" * 8_000, chunks=2_000)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        deaf.connect(("127.0.0.1", on.server.port))
        deaf.sendall(request(on, worker.key, "/v1/chat/completions", streamed("/v1/chat/completions", "tokens_out=9")))
        wait_for(lambda: on.fake.stats()["open"] == 1)
        assert Reservation.objects.exists()
        all_settled()
    [row] = worker.calls()
    assert (row.status, row.basis) == ("settled", "usage")
    assert row.duration_ms >= 1_000, "it was waited for, as long as the setting says"
    assert "the client stopped reading" in on.server.log.read_text()
    assert worker.spent_pico == on.fake.billed_pico() > 0
    on.fake.reset()
    good_call(on, worker)
