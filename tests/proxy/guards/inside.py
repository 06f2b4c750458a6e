"""The proxy inside the test's own process, on a clock that the test sets: hours pass in a moment."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
from django.conf import settings

from proxy import app
from proxy.guards import Gate
from proxy.process import process_from_settings
from tests.proxy.guards.counting import SetClock

ENDED_SECONDS = 10.0


class Inside:
    """Calls without a server; the provider fake answers them."""

    def __init__(self, client: httpx.AsyncClient, gate: Gate, clock: SetClock) -> None:
        self._client = client
        self._gate = gate
        self.clock = clock

    async def chat(self, key: str, message: str, **fields: Any) -> httpx.Response:
        """One call, over when its guards have counted its end."""
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": message}], "max_tokens": 16} | fields
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        answer = await self._client.post("/proxy/v1/chat/completions", content=orjson.dumps(body), headers=headers)
        await self._gate.settled(ENDED_SECONDS)
        return answer


@asynccontextmanager
async def inside(base_urls: Mapping[str, str]) -> AsyncIterator[Inside]:
    """A process of the proxy on the database and Valkey of this test run."""
    process, clock = process_from_settings(), SetClock()
    process.base_urls = base_urls
    process.guards = Gate(settings.REDIS_URL, tell=process.ledger.note_degraded, seconds=ENDED_SECONDS, clock=clock)
    app._process = process
    await process.start()
    try:
        transport = httpx.ASGITransport(app.application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy.example", timeout=60) as client:
            yield Inside(client, process.guards, clock)
    finally:
        await app.shutdown()
