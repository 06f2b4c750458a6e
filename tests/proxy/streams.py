"""Many streams that run at once, and what they cost the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp
from django.db import connection

from tests.agents.ledger_house import in_thread
from tests.proxy.load import chat_body
from tests.proxy.stage import Stage, Worker, all_settled

PATIENCE_SECONDS = 20.0
OPENING_MAX = 100  # streams that wait for their first byte at the same time
CONNECTIONS_MAX = 4 + 8  # of one process: the ledger's, and the pages' pool
END = "data: [DONE]\n\n"


@dataclass
class Streams:
    """Streams that run."""

    tasks: list[asyncio.Task[str]] = field(default_factory=list)

    async def texts(self) -> list[str]:
        """What each said, once all have ended."""
        return await asyncio.gather(*self.tasks)


@asynccontextmanager
async def streams(on: Stage, worker: Worker, count: int, words: str) -> AsyncIterator[Streams]:
    """Open streams and wait until the provider works on all of them."""
    connector, gate = aiohttp.TCPConnector(limit=0, force_close=True), asyncio.Semaphore(OPENING_MAX)
    async with aiohttp.ClientSession(connector=connector) as session:
        running = Streams([asyncio.create_task(_read(session, on, worker, words, gate)) for _ in range(count)])
        async with asyncio.timeout(PATIENCE_SECONDS + count / 20):
            while (await in_thread(on.fake.stats))["open"] < count:
                await asyncio.sleep(0.02)
        yield running


async def _read(session: aiohttp.ClientSession, on: Stage, worker: Worker, words: str, gate: asyncio.Semaphore) -> str:
    headers = {"authorization": f"Bearer {worker.key}", "content-type": "application/json"}
    url = f"{on.server.openai_base_url}/chat/completions"
    text = b""
    async with gate:
        response = await session.post(url, data=chat_body(words, stream=True), headers=headers)
    async with response:
        assert response.status == HTTPStatus.OK, await response.text()
        try:
            async for chunk in response.content.iter_any():
                text += chunk
        except aiohttp.ClientError:
            text += b"(broken off)"
    return text.decode()


async def connections_stay_bounded(on: Stage, count: int, *, seconds: float) -> None:
    """Open so many streams of so many seconds; the database must not notice how many they are."""
    worker = await in_thread(on.worker, "1000")
    async with streams(on, worker, count, f"chunks=10 chunk_ms={int(seconds * 100)} tokens_out=9") as running:
        seen = [await in_thread(_sessions) for _ in range(5)]
        texts = await running.texts()
    assert all(text.endswith(END) for text in texts)
    assert 0 < max(map(len, seen)) <= len(on.server.processes) * CONNECTIONS_MAX
    assert "idle in transaction" not in {state for states in seen for state in states}
    await in_thread(all_settled)
    assert await in_thread(lambda: worker.held_pico) == 0
    assert await in_thread(lambda: worker.spent_pico) == on.fake.billed_pico()


def _sessions() -> list[str]:
    """The states of all other sessions in this database."""
    rows = sql(
        "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend'"
    )
    return [state for (state,) in rows]


def sql(query: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask the test's database."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else []
