"""Clients whose calls run in a thread of their own while the test does something about them."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from tests.proxy.load import chat_body
from tests.proxy.stage import Stage

MESSAGES = "/v1/messages"
CALL_SECONDS_MAX = 60.0
WAIT_SECONDS_MAX = 20.0


@dataclass(frozen=True)
class Ended:
    """How a call ended for its client, and when by time.monotonic(); status 0 where the connection broke."""

    status: int
    headers: dict[str, str]
    text: str
    began_at: float
    ended_at: float

    @property
    def call_id(self) -> str:
        return self.headers["x-awx-call-id"]

    @property
    def error(self) -> dict[str, Any]:
        """The error of a whole answer, or the last event of a stream."""
        text = self.text if self.text.startswith("{") else self.text.strip().splitlines()[-1].removeprefix("data: ")
        found: dict[str, Any] = orjson.loads(text)["error"]
        return found


class Crowd:
    """Starts calls and lets them run."""

    def __init__(self, on: Stage, loop: asyncio.AbstractEventLoop, session: aiohttp.ClientSession) -> None:
        self._on = on
        self._loop = loop
        self._session = session
        self.answering_count = 0  # calls whose first bytes have come
        self.ended: list[Ended] = []

    def chat(self, key: str, words: str, *, stream: bool = True, cap: int = 50) -> Future[Ended]:
        """A chat completion that the provider fake answers as the words say."""
        return self._start(key, "/v1/chat/completions", chat_body(words, cap=cap, stream=stream))

    def messages(self, key: str, words: str, *, stream: bool = True, cap: int = 50) -> Future[Ended]:
        """The same in Anthropic's dialect."""
        message = {"role": "user", "content": f"Go [[{words}]]"}
        body = {"model": "claude-haiku-4-5", "max_tokens": cap, "messages": [message], "stream": stream}
        return self._start(key, MESSAGES, orjson.dumps(body))

    def spawn[T](self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run something in the crowd's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _start(self, key: str, path: str, body: bytes) -> Future[Ended]:
        return self.spawn(self.call(key, path, body))

    async def call(self, key: str, path: str, body: bytes) -> Ended:
        """One call, in the crowd's thread."""
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        if path == MESSAGES:
            headers["anthropic-version"] = "2023-06-01"
        status, got, pieces, began_at = 0, {}, [], time.monotonic()
        try:
            async with self._session.post(
                f"{self._on.server.address}/proxy{path}", data=body, headers=headers
            ) as answer:
                got = {name.lower(): value for name, value in answer.headers.items()}
                self.answering_count += 1
                async for piece in answer.content.iter_any():
                    pieces.append(piece)
                status = answer.status
        except aiohttp.ClientError:
            pass
        ended = Ended(status, got, b"".join(pieces).decode(), began_at, time.monotonic())
        self.ended.append(ended)
        return ended


@contextmanager
def crowd(on: Stage) -> Iterator[Crowd]:
    """A crowd for the length of a block; calls that still run at its end lose their clients."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    session = asyncio.run_coroutine_threadsafe(_session(), loop).result()
    try:
        yield Crowd(on, loop, session)
    finally:
        asyncio.run_coroutine_threadsafe(_end(session), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def wait_for(happened: Callable[[], bool], *, seconds_max: float = WAIT_SECONDS_MAX) -> float:
    """Wait until it has happened; returns when that was seen, by time.monotonic()."""
    deadline = time.monotonic() + seconds_max
    while not happened():
        assert time.monotonic() < deadline, f"not within {seconds_max} s"
        time.sleep(0.02)
    return time.monotonic()


async def _session() -> aiohttp.ClientSession:
    time_out = aiohttp.ClientTimeout(total=CALL_SECONDS_MAX)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=time_out)


async def _end(session: aiohttp.ClientSession) -> None:
    """Close the clients' connections and let their tasks end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await session.close()
