"""A request is read without keeping others waiting, and what is wrong with it is said all the same."""

import asyncio
from collections.abc import Iterator

import orjson
import pytest

from proxy.errors import Malformed
from proxy.providers.endpoints import Route
from proxy.providers.model_request import ModelRequest
from proxy.providers.openai import chat
from proxy.reading import THREAD_BYTES_MIN, RequestReader

CHAT = Route(chat.CHAT)


@pytest.fixture
def reader() -> Iterator[RequestReader]:
    reader = RequestReader()
    yield reader
    reader.close()


def body_of(size_bytes: int) -> bytes:
    """A chat of just that many bytes, hard to bound: marks without end on one letter."""
    empty = orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": ""}]})
    marks, rest = divmod(size_bytes - len(empty), 2)
    return orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "a" * rest + "\u0301" * marks}]})


async def read_beside_others(reader: RequestReader, body: bytes) -> tuple[ModelRequest, int]:
    """The request, and how often others had a turn while it was read."""
    reading, turns = asyncio.create_task(reader.read(CHAT, body, {})), 0
    while not reading.done():
        await asyncio.sleep(0)
        turns += 1
    return reading.result(), turns


async def test_others_have_their_turns_while_a_large_body_is_read(reader: RequestReader) -> None:
    read, turns = await read_beside_others(reader, body_of(2 * 2**20))
    assert turns > 5
    assert read.model == "gpt-4o"


async def test_a_usual_body_waits_for_no_thread(reader: RequestReader) -> None:
    body = body_of(THREAD_BYTES_MIN - 1)
    assert len(body) == THREAD_BYTES_MIN - 1
    _, turns = await read_beside_others(reader, body)
    assert turns == 1


async def test_what_is_wrong_with_a_large_body_is_said(reader: RequestReader) -> None:
    body = orjson.dumps({"model": 5, "messages": "x" * THREAD_BYTES_MIN})
    with pytest.raises(Malformed, match="model"):
        await reader.read(CHAT, body, {})
