"""The proxy in the test's own process: its parts can be exchanged and its clocks set while a call runs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import httpx
from django.conf import settings

from accounts import credentials
from agents.ledger import Ledger
from agents.models import Call, Reservation
from agents.pricebook import current_book
from proxy import app
from proxy.guards import Gate
from proxy.guards.cache import AnswerCache
from proxy.prices import Prices
from proxy.process import Limits, Process
from proxy.upstream import TimeOuts, Upstream
from tests import cast
from tests.agents.ledger_house import in_thread
from tests.proxy.stage import PROVIDER_KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

SETTLED_SECONDS_MAX = 10.0


class Inside:
    """A running process and Alice, whose agent calls it."""

    def __init__(self, process: Process, alice: cast.Person, client: httpx.AsyncClient) -> None:
        self.process = process
        self.alice = alice
        self.client = client

    async def chat(self, words: str = "", **fields: Any) -> httpx.Response:
        """One chat completion, whose message is a script for the provider fake."""
        content = fields.pop("content", None)
        body = {
            "model": "gpt-4o-mini",
            "max_tokens": 50,
            "messages": [{"role": "user", "content": f"Go [[{words}]]"}],
        } | fields
        given: dict[str, Any] = {"json": body} if content is None else {"content": content}
        headers = {"authorization": f"Bearer {self.alice.live_key}"}
        return await self.client.post("/proxy/v1/chat/completions", headers=headers, **given)

    async def row_of(self, answer: httpx.Response) -> Call:
        """The call's row, as soon as it is there, with nothing held any more."""
        async with asyncio.timeout(SETTLED_SECONDS_MAX):
            while True:
                row = await in_thread(Call.objects.filter(call_id=answer.headers["x-awx-call-id"]).first)
                if row is not None and not await in_thread(Reservation.objects.exists):
                    return row
                await asyncio.sleep(0.01)


def bare_process(
    ledger: Ledger, base_url: str, limits: Limits, others: Mapping[str, str] = MappingProxyType({})
) -> Process:
    """A process of the proxy that calls OpenAI at this address, other providers at theirs; not started."""
    return Process(
        ledger=ledger,
        upstream=Upstream(allow_private=True, time_outs=limits.time_outs),
        prices=Prices(current_book()),
        cache=AnswerCache(settings.REDIS_URL, seconds_max=limits.store_seconds),
        guards=Gate(settings.REDIS_URL, tell=ledger.note_degraded),
        base_urls={"openai": base_url, **others},
        site_url="http://testserver",
        limits=limits,
    )


@asynccontextmanager
async def inside(
    base_url: str, *, time_outs: TimeOuts | None = None, others: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Inside]:
    """Run the proxy here, on the test's database.

    base_url: OpenAI's; others: base URLs of other providers; time_outs: those of a process in service by default.
    """
    alice = await in_thread(cast.alice)
    await in_thread(credentials.connect, alice.organization, "openai", PROVIDER_KEY, by=alice.user)
    limits = Limits(time_outs=time_outs or TimeOuts(), stop_seconds=1.0)
    process = bare_process(Ledger(), base_url, limits, others)
    await process.start()
    app._process = process
    try:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app.application), base_url="http://testserver", timeout=30
        ) as client:
            yield Inside(process, alice, client)
    finally:
        app._process = None
        await process.stop()
