"""A process that is told to stop lets running calls end, settles them and leaves with code 0."""

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from agents.models import PriceBookVersion
from agents.pricebook import current_book
from tests.proxy.crowd import wait_for
from tests.proxy.load import chat_body
from tests.proxy.stage import Stage, settled, stage


@pytest.fixture
def short_lived(fresh_database: str, tmp_path: Path) -> Iterator[Stage]:
    with stage(tmp_path) as ready:
        yield ready


def test_a_stop_waits_for_streams_and_settles_them(short_lived: Stage) -> None:
    on = short_lived
    worker = on.worker()
    done: list[tuple[str, str]] = []

    def read() -> None:
        headers = {"authorization": f"Bearer {worker.key}", "content-type": "application/json"}
        url = f"{on.server.openai_base_url}/chat/completions"
        body = chat_body("chunks=20 chunk_ms=100 tokens_out=9", stream=True)
        with httpx.stream("POST", url, content=body, headers=headers, timeout=60) as response:
            done.append((response.headers["x-awx-call-id"], "".join(response.iter_text())))

    reading = threading.Thread(target=read)
    reading.start()
    wait_for(lambda: on.fake.stats()["open"] == 1)
    on.server.processes[0].send_signal(signal.SIGTERM)
    reading.join()
    assert on.server.processes[0].wait(30) == 0
    call_id, text = done[0]
    assert text.endswith("data: [DONE]\n\n")
    assert settled(call_id).basis == "usage"
    assert worker.spent_pico == on.fake.billed_pico() > 0
    assert worker.held_pico == 0
    assert PriceBookVersion.objects.get(version=current_book().version).content


def test_a_stop_that_waits_no_longer_tells_clients_so_and_none_asks_again(fresh_database: str, tmp_path: Path) -> None:
    """A closed connection would be another request of the SDK, and another bill."""
    with stage(tmp_path, environment={"SHREDDER_PROXY_SECONDS": "stop=1"}) as on, ThreadPoolExecutor() as threads:
        worker = on.worker()
        ask = on.openai_client(worker.key, timeout=30).chat.completions.create
        messages: Any = [{"role": "user", "content": "[[delay_ms=60000]]"}]
        whole = threads.submit(ask, model="gpt-4o", messages=messages)
        stream = threads.submit(ask, model="gpt-4o", messages=messages, stream=True)
        unsent = threads.submit(send_half_a_body, on, worker.key)
        wait_for(lambda: on.fake.stats()["open"] == 2)
        on.server.processes[0].send_signal(signal.SIGTERM)
        for waiting in (whole, stream):
            with pytest.raises(openai.InternalServerError) as caught:
                waiting.result()
            assert caught.value.status_code == 502
            assert caught.value.body["awx"]["reason"] == caught.value.code == "interrupted"  # type: ignore[index]
            row = settled(caught.value.response.headers["x-awx-call-id"])
            assert (row.basis, row.reason, row.cost_pico) == ("worst_case", "interrupted", row.held_pico)
        assert unsent.result().startswith(b"HTTP/1.1 503 ")
        assert b"x-should-retry: true" in unsent.result()
        assert on.server.processes[0].wait(30) == 0
        assert on.fake.stats()["requests"] == 2


def send_half_a_body(on: Stage, key: str) -> bytes:
    """Begin a call and never end it; returns what is said to that."""
    lines = (
        "POST /proxy/v1/chat/completions HTTP/1.1",
        "host: here",
        f"authorization: Bearer {key}",
        "content-length: 99",
    )
    host, port = on.server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.sendall("\r\n".join((*lines, "", "{")).encode())
        return connection.recv(65536)
