"""A process that is told to stop lets running calls end, settles them and leaves with code 0."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from agents.models import PriceBookVersion
from agents.pricebook import current_book
from tests.proxy.load import chat_body
from tests.proxy.stage import Stage, settled, stage


@pytest.fixture
def short_lived(committed_database: str, tmp_path: Path) -> Iterator[Stage]:
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
    while on.fake.stats()["open"] < 1:
        time.sleep(0.02)
    on.server.processes[0].send_signal(signal.SIGTERM)
    reading.join()
    assert on.server.processes[0].wait(30) == 0
    call_id, text = done[0]
    assert text.endswith("data: [DONE]\n\n")
    assert settled(call_id).basis == "usage"
    assert worker.spent_pico == on.fake.billed_pico() > 0
    assert worker.held_pico == 0
    assert PriceBookVersion.objects.get(version=current_book().version).content
