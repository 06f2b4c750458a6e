"""Clients that reset their connections at every event of a stream: what the provider bills is charged all the same."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import aiohttp
import orjson

from tests.proxy.closing import close_books
from tests.proxy.load import chat_body, client_session, in_turn, messages_body
from tests.proxy.stage import Stage, Worker

EVENTS = 200
AT_ONCE = 20
CAP = 60


@dataclass(frozen=True)
class Shape:
    """A stream of 200 events as its client sees it: where it is asked for, and how."""

    path: str
    body: bytes


def _words(content_events: int) -> str:
    return f"chunks={content_events} chunk_ms=1 tokens_out=50 tokens_in=70"


def _asking_usage(body: bytes) -> bytes:
    return orjson.dumps(orjson.loads(body) | {"stream_options": {"include_usage": True}})


def _gemini_body(words: str) -> bytes:
    asked = [{"role": "user", "parts": [{"text": f"Go [[{words}]]"}]}]
    return orjson.dumps({"contents": asked, "generationConfig": {"maxOutputTokens": CAP}})


def _response_body(words: str) -> bytes:
    return orjson.dumps(
        {"model": "gpt-4o-mini", "input": f"Go [[{words}]]", "max_output_tokens": CAP, "stream": True, "store": False}
    )


_GEMINI_STREAM = "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
# Around the content: OpenAI sends a role, a finish and the end mark, Anthropic three events before and three after.
SHAPES = {
    "OpenAI": Shape("/v1/chat/completions", chat_body(_words(EVENTS - 3), cap=CAP, stream=True)),
    "OpenAI, usage asked for": Shape(
        "/v1/chat/completions", _asking_usage(chat_body(_words(EVENTS - 4), cap=CAP, stream=True))
    ),
    "Anthropic": Shape("/v1/messages", messages_body(_words(EVENTS - 6), cap=CAP, stream=True)),
    "Gemini": Shape(_GEMINI_STREAM, _gemini_body(_words(EVENTS))),
    "OpenAI, responses": Shape("/v1/responses", _response_body(_words(EVENTS))),
}


def resets_at_every_event_are_paid_for(
    on: Stage, *, shapes: Iterable[str], every: int = 1, exact: bool = True
) -> Counter[str]:
    """Reset one stream of each shape after no event, after one and so on; returns how the calls were charged.

    every: look at each so-manieth event only. exact: the proxy may read every stream on to its bill.
    """
    worker = on.worker("100")
    on.fake.reset()
    wishes = [(SHAPES[name], events) for name in shapes for events in range(0, EVENTS, every)]
    asyncio.run(_reset_all(on, worker, wishes))
    close_books(on, worker, exact=exact)
    rows = worker.calls()
    assert len(rows) == on.fake.stats()["billed"] == len(wishes)
    return Counter(row.basis for row in rows)


async def _reset_all(on: Stage, worker: Worker, wishes: list[tuple[Shape, int]]) -> None:
    async with client_session(resets=True) as session:
        await in_turn(lambda wish: _reset_after(session, on, worker, *wish), wishes, at_once=AT_ONCE)


async def _reset_after(session: aiohttp.ClientSession, on: Stage, worker: Worker, shape: Shape, events: int) -> None:
    headers = {"authorization": f"Bearer {worker.key}", "content-type": "application/json"}
    url = f"{on.server.address}/proxy{shape.path}"
    async with session.post(url, data=shape.body, headers=headers) as response:
        assert response.status == 200, await response.text()
        while events:
            line = await response.content.readline()
            assert line, f"the stream ended {events} events early"
            events -= line in (b"\n", b"\r\n")  # an empty line ends an event
        response.close()
