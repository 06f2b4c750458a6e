"""A count has an end in size and time, and no call waits for one that has none."""

import asyncio
import threading
import time

import orjson
import pytest

from proxy import counter
from proxy.counter import COUNTED_BYTES_MAX, TokenCounter, count_tokens
from proxy.providers.anthropic import messages
from proxy.providers.endpoints import Route
from proxy.providers.openai import chat


def said(text="Hello"):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    return chat.read_request(Route(chat.CHAT), orjson.dumps(body), {})


@pytest.fixture
def stuck():
    """A tokenizer that hangs until it is let go."""
    let_go = threading.Event()
    yield TokenCounter(lambda *_: let_go.wait() and 7, seconds_max=0.1, load_seconds_max=0), let_go
    let_go.set()


async def test_a_count_is_what_the_thread_found():
    found = await TokenCounter().tokens_of(said(), "o200k_base", 100)
    assert found == count_tokens(said(), "o200k_base", time.monotonic() + 60)


async def test_a_hung_tokenizer_holds_no_call(stuck):
    counting, _ = stuck
    began = time.monotonic()
    assert await counting.tokens_of(said(), "o200k_base", 100) is None
    assert time.monotonic() - began < 1.5


async def test_while_it_hangs_others_do_not_even_wait_and_afterwards_counts_go_on(stuck):
    counting, let_go = stuck
    assert await counting.tokens_of(said(), "o200k_base", 100) is None
    assert await asyncio.wait_for(counting.tokens_of(said(), "o200k_base", 100), 0.05) is None
    let_go.set()
    while counting._late:
        await asyncio.sleep(0.001)
    assert await counting.tokens_of(said(), "o200k_base", 100) == 7


async def test_a_call_that_waits_for_its_turn_waits_no_longer_than_for_a_count(stuck):
    counting, _ = stuck
    asks = [counting.tokens_of(said(), "o200k_base", 100) for _ in range(20)]
    began = time.monotonic()
    assert await asyncio.gather(*asks) == [None] * 20
    assert time.monotonic() - began < 1.5


async def test_the_first_count_has_time_to_load_its_ranks():
    counting = TokenCounter(lambda *_: time.sleep(0.2) or 7, seconds_max=0.05, load_seconds_max=30)
    assert await counting.tokens_of(said(), "o200k_base", 100) == 7
    assert await counting.tokens_of(said(), "o200k_base", 100) is None


async def test_a_client_that_leaves_stops_the_waiting_and_blocks_nobody(stuck):
    counting, let_go = stuck
    leaving = asyncio.ensure_future(counting.tokens_of(said(), "o200k_base", 100))
    await asyncio.sleep(0.01)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    let_go.set()
    assert await counting.tokens_of(said(), "o200k_base", 100) == 7


async def test_a_count_gives_up_by_itself_when_its_time_is_over():
    long_text = said("x" * 900_000)
    assert await TokenCounter(seconds_max=0, load_seconds_max=0).tokens_of(long_text, "o200k_base", 900_000) is None
    with pytest.raises(counter.tokenizers.TooSlow):
        count_tokens(long_text, "o200k_base", 0.0)


class Panic(BaseException):
    """What pyo3 raises when Rust panics is no Exception either."""


async def test_a_tokenizer_that_panics_gives_no_count_and_a_line_in_the_log(caplog):
    def panic(*_):
        raise Panic

    assert await TokenCounter(panic).tokens_of(said(), "o200k_base", 100) is None
    assert "could not be counted" in caplog.text


async def test_a_body_over_a_megabyte_of_text_is_not_counted():
    counting = TokenCounter(lambda *_: 7)
    assert await counting.tokens_of(said(), "o200k_base", COUNTED_BYTES_MAX) == 7
    assert await counting.tokens_of(said(), "o200k_base", COUNTED_BYTES_MAX + 1) is None


async def test_only_chat_completions_are_understood():
    body = {"model": "claude-opus-5-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}
    request = messages.read_request(Route(messages.MESSAGES), orjson.dumps(body), {})
    assert await TokenCounter(lambda *_: 7).tokens_of(request, "o200k_base", 100) is None


async def test_a_counter_that_is_closed_lets_those_go_who_wait_and_counts_no_more(stuck):
    counting, _ = stuck
    asks = [asyncio.ensure_future(counting.tokens_of(said(), "o200k_base", 100)) for _ in range(3)]
    await asyncio.sleep(0)
    counting.close()
    assert await asyncio.gather(*asks) == [None] * 3
    assert await counting.tokens_of(said(), "o200k_base", 100) is None
