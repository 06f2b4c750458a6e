"""The client against real sockets: what was sent, what came back, and what cannot be known."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest

from proxy.upstream import Answer, CutOff, NoAnswer, NothingSent, TimeOuts, Upstream

QUICK = TimeOuts(connect_seconds=1.0, first_byte_seconds=0.3, between_bytes_seconds=0.3, total_seconds=3.0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

type Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A provider that does just what the handler does; yields its base URL."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    client = Upstream(allow_private=True, time_outs=QUICK)
    yield client
    await client.close()


async def ask(upstream: Upstream, url: str) -> Answer:
    return await upstream.send(upstream.draft("POST", url, [("content-type", "application/json")], b'{"a":1}'))


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    return head + await reader.readexactly(length)


async def test_the_request_arrives_as_it_was_given_and_nothing_is_added(upstream: Upstream) -> None:
    seen = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(HEAD + b"Content-Length: 2\r\n\r\n{}")
        await writer.drain()

    async with serving(handler) as url, await ask(upstream, url + "/v1/chat%2Fx") as answer:
        assert answer.status == 200
        assert await answer.read_all(100) == b"{}"
    head, _, body = seen[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/chat%2Fx HTTP/1.1"
    assert body == b'{"a":1}'
    assert {line.split(":")[0].lower() for line in lines[1:]} == {"host", "content-type", "content-length"}


async def test_a_request_that_is_only_drafted_opens_no_connection(upstream: Upstream) -> None:
    connected = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(1)
        await read_request(reader)
        writer.write(HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()

    async with serving(handler) as url:
        draft = upstream.draft("POST", url, [("content-type", "application/json")], b"{}")
        async with await ask(upstream, url) as answer:  # whatever was begun for the draft would be there by now
            assert await answer.read_all(100) == b"{}"
        assert connected == [1]
        async with await upstream.send(draft) as answer:
            assert await answer.read_all(100) == b"{}"


async def test_an_impossible_address_means_that_nothing_was_sent(upstream: Upstream) -> None:
    with pytest.raises(NothingSent):
        upstream.draft("POST", "http:///v1/chat", [], b"{}")


async def test_a_closed_port_means_that_nothing_was_sent(upstream: Upstream) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NothingSent) as failed:
            await ask(upstream, f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert failed.value.reason == "connect_failed"


async def test_a_failed_handshake_means_that_nothing_was_sent(upstream: Upstream) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"this is not TLS\r\n")
        await writer.drain()

    async with serving(handler) as url:
        with pytest.raises(NothingSent):
            await ask(upstream, url.replace("http:", "https:"))


async def test_a_host_that_does_not_resolve_means_that_nothing_was_sent(upstream: Upstream) -> None:
    with pytest.raises(NothingSent):
        await ask(upstream, "http://no-such-host.invalid/")


async def test_a_reset_after_the_request_is_no_answer_and_is_not_tried_again(upstream: Upstream) -> None:
    seen = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))

    async with serving(handler) as url:
        with pytest.raises(NoAnswer) as failed:
            await ask(upstream, url)
    assert not failed.value.timed_out
    assert len(seen) == 1


async def test_a_reset_on_a_connection_that_was_used_before_is_not_tried_again(upstream: Upstream) -> None:
    seen = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(HEAD + b"Content-Length: 2\r\n\r\n{}")
        await writer.drain()
        seen.append(await read_request(reader))

    async with serving(handler) as url:
        async with await ask(upstream, url) as answer:
            await answer.read_all(10)
        with pytest.raises(NoAnswer):
            await ask(upstream, url)
    assert len(seen) == 2


async def test_silence_until_the_first_byte_is_a_time_out_without_an_answer(upstream: Upstream) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        await asyncio.sleep(2)

    async with serving(handler) as url:
        with pytest.raises(NoAnswer) as failed:
            await ask(upstream, url)
    assert failed.value.timed_out


async def test_silence_in_the_middle_cuts_the_answer_off(upstream: Upstream) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"Content-Length: 10\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(2)

    async with serving(handler) as url, await ask(upstream, url) as answer:
        assert await answer.read_some() == b"half"
        with pytest.raises(CutOff) as failed:
            await answer.read_some()
    assert failed.value.timed_out


async def test_an_answer_that_ends_early_is_cut_off(upstream: Upstream) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await writer.drain()

    async with serving(handler) as url, await ask(upstream, url) as answer:
        with pytest.raises(CutOff):
            await answer.read_all(100)


async def test_an_answer_longer_than_allowed_is_cut_off(upstream: Upstream) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000)
        await writer.drain()

    async with serving(handler) as url, await ask(upstream, url) as answer:
        with pytest.raises(CutOff) as failed:
            await answer.read_all(999)
    assert failed.value.reason == "answer_too_long"


async def test_a_redirect_is_an_answer_and_is_not_followed(upstream: Upstream) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(handler) as url, await ask(upstream, url) as answer:
        assert answer.status == 302


async def test_compressed_bytes_stay_as_they_are(upstream: Upstream) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd")
        await writer.drain()

    async with serving(handler) as url, await ask(upstream, url) as answer:
        assert await answer.read_all(10) == b"abcd"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "127.1"])
async def test_a_private_address_is_never_dialled_unless_the_operator_allows_it(host: str) -> None:
    reached = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(1)

    async with serving(handler) as url:
        upstream = Upstream(time_outs=QUICK)
        try:
            with pytest.raises(NothingSent):
                await ask(upstream, url.replace("127.0.0.1", host))
        finally:
            await upstream.close()
    assert reached == []


def resolver_saying(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names lead to each of these in turn, the last one from then on; returns the names that were looked up."""
    asked: list[str] = []

    async def resolve(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        asked.append(host)
        answer = answers[min(len(asked), len(answers)) - 1]
        return [
            {"hostname": host, "host": address, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
            for address in answer
        ]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    return asked


async def test_a_name_with_one_private_address_among_public_ones_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = resolver_saying(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    upstream = Upstream(time_outs=QUICK)
    try:
        with pytest.raises(NothingSent):
            await ask(upstream, "http://rebinding.example/")
    finally:
        await upstream.close()
    assert asked == ["rebinding.example"]


async def test_a_name_that_leads_inside_the_second_time_is_refused_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """E13: what was public when it was saved or first called is looked at again for every new connection."""
    reached = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await read_request(reader))
        writer.write(HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()

    asked = resolver_saying(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    monkeypatch.setattr("accounts.addresses.is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setattr("accounts.addresses.is_own", lambda address: False)
    upstream = Upstream(time_outs=QUICK)
    try:
        # Names are remembered by port for some seconds, so the second call goes to another one.
        async with serving(handler) as first, serving(handler) as second:
            async with await ask(upstream, first.replace("127.0.0.1", "rebinding.example")) as answer:
                assert await answer.read_all(100) == b"{}"
            with pytest.raises(NothingSent):
                await ask(upstream, second.replace("127.0.0.1", "rebinding.example"))
    finally:
        await upstream.close()
    assert asked == ["rebinding.example"] * 2
    assert len(reached) == 1


@pytest.mark.parametrize("address", ["169.254.169.254", "::ffff:169.254.169.254", "100.100.100.200"])
@pytest.mark.parametrize("by_name", [True, False])
async def test_a_clouds_metadata_is_never_dialled_whatever_the_operator_allows(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, address: str, by_name: bool
) -> None:
    """E13."""
    dialled = []
    monkeypatch.setattr(socket.socket, "connect", lambda self, where: dialled.append(where))
    resolver_saying(monkeypatch, [address])
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises(NothingSent):
        await ask(upstream, f"http://{'metadata.example' if by_name else literal}/latest/meta-data/")
    assert dialled == []


async def test_proxies_of_the_environment_are_ignored(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(HEAD + b"Content-Length: 2\r\n\r\n{}")
        await writer.drain()

    async with serving(handler) as url, await ask(upstream, url) as answer:
        assert answer.status == 200
