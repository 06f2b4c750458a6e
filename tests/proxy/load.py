"""Many calls at once against a running proxy, and what became of them."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

CALL_SECONDS_MAX = 300.0
NO_LINGERING = struct.pack("ii", 1, 0)


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


def messages_body(words: str, *, model: str = "claude-haiku-4-5", cap: int = 16, stream: bool = False) -> bytes:
    """The same for Anthropic's dialect."""
    messages = [{"role": "user", "content": f"Go [[{words}]]"}]
    return orjson.dumps({"model": model, "max_tokens": cap, "messages": messages, "stream": stream})


async def run_load(url: str, key: str, bodies: Iterable[bytes], *, at_once: int) -> Outcome:
    """Send every body, at most so many in flight at a time, each once."""
    outcome = Outcome()
    async with client_session() as session:
        await in_turn(lambda body: call(session, url, key, body, outcome), bodies, at_once=at_once)
    return outcome


async def in_turn[T](work: Callable[[T], Awaitable[Any]], things: Iterable[T], *, at_once: int) -> None:
    """Do the work for each, at most so many at a time."""
    waiting = iter(things)

    async def take() -> None:
        for thing in waiting:
            await work(thing)

    await asyncio.gather(*(take() for _ in range(at_once)))


async def call(
    session: aiohttp.ClientSession, url: str, key: str, body: bytes | AsyncIterator[bytes], outcome: Outcome
) -> int:
    """One call and its place in the outcome; returns its status, 0 for a connection that broke."""
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    try:
        async with session.post(f"{url}/proxy/v1/chat/completions", data=body, headers=headers) as response:
            answer = await response.read()
    except aiohttp.ClientError:
        outcome.statuses[0] += 1
        return 0
    outcome.statuses[response.status] += 1
    if response.status != 200:
        outcome.reasons[orjson.loads(answer)["error"].get("awx", {}).get("reason", "provider")] += 1
        outcome.retried[response.headers.get("x-should-retry", "")] += 1
    return response.status


@asynccontextmanager
async def client_session(*, resets: bool = False) -> AsyncIterator[aiohttp.ClientSession]:
    """A client for many calls. resets: it ends each connection with a reset, as a process that dies does."""
    connector = aiohttp.TCPConnector(limit=0, force_close=resets, socket_factory=_resetting_socket if resets else None)
    time_out = aiohttp.ClientTimeout(total=CALL_SECONDS_MAX)
    async with aiohttp.ClientSession(connector=connector, timeout=time_out) as session:
        yield session


def _resetting_socket(address_info: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = address_info
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGERING)
    return made
