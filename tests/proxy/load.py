"""Many calls at once against a running proxy, and what became of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

CALL_SECONDS_MAX = 300.0


@dataclass
class Outcome:
    """How the calls ended: HTTP statuses and refusal reasons; 0 stands for a connection that broke."""

    statuses: Counter[int] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)  # values of x-should-retry


def chat_body(words: str, *, model: str = "gpt-4o-mini", cap: int = 16, stream: bool = False) -> bytes:
    """A chat completion whose message is a script for the provider fake."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": f"Go [[{words}]]"}],
        "max_completion_tokens": cap,
    }
    return orjson.dumps(body | ({"stream": True} if stream else {}))


async def run_load(url: str, key: str, bodies: Iterable[bytes], *, at_once: int) -> Outcome:
    """Send every body, at most so many in flight at a time, each once."""
    outcome, waiting = Outcome(), iter(bodies)
    async with _session() as session:
        await asyncio.gather(*(_work(session, url, key, waiting, outcome) for _ in range(at_once)))
    return outcome


async def _work(session: aiohttp.ClientSession, url: str, key: str, waiting: Iterable[bytes], outcome: Outcome) -> None:
    for body in waiting:
        await call(session, url, key, body, outcome)


async def call(session: aiohttp.ClientSession, url: str, key: str, body: bytes, outcome: Outcome) -> None:
    """One call and its place in the outcome."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    try:
        async with session.post(f"{url}/proxy/v1/chat/completions", data=body, headers=headers) as response:
            answer = await response.read()
    except aiohttp.ClientError:
        outcome.statuses[0] += 1
        return
    outcome.statuses[response.status] += 1
    if response.status != 200:
        outcome.reasons[orjson.loads(answer)["error"].get("awx", {}).get("reason", "provider")] += 1
        outcome.retried[response.headers.get("x-should-retry", "")] += 1


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0, force_close=False)
    time_out = aiohttp.ClientTimeout(total=CALL_SECONDS_MAX)
    async with aiohttp.ClientSession(connector=connector, timeout=time_out) as session:
        yield session
