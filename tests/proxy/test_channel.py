import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from proxy.channel import Channel


async def test_pieces_arrive_in_order_and_then_the_end() -> None:
    channel = Channel()
    await channel.put(b"one ")
    await channel.put(b"two")
    channel.end()
    assert await channel.get() == b"one two"
    assert await channel.get() == b""


async def test_a_full_channel_makes_the_writer_wait_until_the_reader_comes() -> None:
    channel = Channel(bytes_max=10)
    writing = asyncio.create_task(channel.put(b"x" * 11))
    await asyncio.sleep(0.01)
    assert not writing.done()
    assert await channel.get() == b"x" * 11
    await asyncio.wait_for(writing, 1)


async def test_a_reader_that_leaves_frees_the_writer_for_good() -> None:
    channel = Channel(bytes_max=10)
    writing = asyncio.create_task(channel.put(b"x" * 11))
    await asyncio.sleep(0.01)
    channel.abandon()
    await asyncio.wait_for(writing, 1)
    await asyncio.wait_for(channel.put(b"x" * 100), 1)
    assert await channel.get() == b""


async def test_a_waiting_reader_hears_of_the_end() -> None:
    channel = Channel()
    reading = asyncio.create_task(channel.get())
    await asyncio.sleep(0)
    channel.end()
    assert await asyncio.wait_for(reading, 1) == b""


async def test_the_last_piece_waits_for_nobody() -> None:
    channel = Channel(bytes_max=10)
    writing = asyncio.create_task(channel.put(b"x" * 11))
    await asyncio.sleep(0)
    channel.end(b"the end")
    assert await channel.get() == b"x" * 11 + b"the end"
    assert await channel.get() == b""
    await asyncio.wait_for(writing, 1)


async def test_who_left_gets_no_last_piece() -> None:
    channel = Channel()
    channel.abandon()
    channel.end(b"the end")
    assert await channel.get() == b""


@pytest.mark.parametrize("count", [1, 2, 1_000])
async def test_nothing_is_lost_between_a_fast_writer_and_a_slow_reader(count: int) -> None:
    channel = Channel(bytes_max=64)

    async def write() -> None:
        for number in range(count):
            await channel.put(b"%06d" % number)
        channel.end()

    writing = asyncio.create_task(write())
    seen = b""
    while piece := await channel.get():
        seen += piece
        await asyncio.sleep(0)
    await writing
    assert seen == b"".join(b"%06d" % number for number in range(count))


class Client:
    """Takes what is sent; one that is `slow` takes the next piece only when it is told to."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.reads.wait()
        assert message["more_body"]
        self.pieces.append(message["body"])


async def read(channel: Channel, client: Client, *, seconds_max: float = 60.0) -> None:
    """The client's side, as proxy.app has it."""
    channel.connect(client.send, seconds_max=seconds_max)
    while piece := await channel.get():
        await channel.send(piece)
    channel.close()


async def test_a_writer_whose_reader_waits_sends_by_itself() -> None:
    channel, client = Channel(), Client()
    await channel.put(b"one")
    reading = asyncio.create_task(read(channel, client))
    await asyncio.sleep(0)
    assert client.pieces == [b"one"]
    await channel.put(b"two")  # nobody else had a turn
    assert client.pieces == [b"one", b"two"]
    channel.end(b"three")
    await asyncio.wait_for(reading, 1)
    assert client.pieces == [b"one", b"two", b"three"]


async def test_pieces_keep_their_order_while_the_reader_is_behind() -> None:
    channel, client = Channel(), Client()
    client.reads.clear()
    await channel.put(b"1")
    reading = asyncio.create_task(read(channel, client))
    await asyncio.sleep(0)  # now the reader sends the first
    await channel.put(b"2")
    await channel.put(b"3")
    client.reads.set()
    await asyncio.sleep(0.01)
    await channel.put(b"4")
    channel.end()
    await asyncio.wait_for(reading, 1)
    assert b"".join(client.pieces) == b"1234"


@pytest.mark.parametrize("sender", ["reader", "writer"])
async def test_a_client_that_does_not_read_is_abandoned_whoever_sends(sender: str) -> None:
    channel, client = Channel(), Client()
    if sender == "reader":
        await channel.put(b"one")
    client.reads.clear()
    reading = asyncio.create_task(read(channel, client, seconds_max=0.05))
    await asyncio.sleep(0)
    if sender == "writer":
        await asyncio.wait_for(channel.put(b"one"), 1)
    await asyncio.wait_for(reading, 1)
    assert channel.stalled
    assert channel.abandoned
    await asyncio.wait_for(channel.put(b"two"), 1)
    assert client.pieces == []


async def test_a_writer_that_is_cancelled_while_it_sends_leaves_the_rest_to_the_reader() -> None:
    channel, client = Channel(), Client()
    reading = asyncio.create_task(read(channel, client))
    await asyncio.sleep(0)
    client.reads.clear()
    writing = asyncio.create_task(channel.put(b"lost"))
    await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    channel.end(b"the end")
    client.reads.set()
    await asyncio.wait_for(reading, 1)
    assert client.pieces == [b"the end"]
