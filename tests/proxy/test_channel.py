import asyncio

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
