"""Errors of a provider whose words come late, in part or never: what the call is charged, and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from agents.ledger import Stop
from agents.models import Call
from proxy.providers import targets
from proxy.upstream import Answer
from tests.agents.ledger_house import in_thread
from tests.proxy.in_process import Inside, inside

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS_MAX = 10.0
REFUSED = b'{"error":{"code":"content_filter"}}'
UNREAD = b'{"error":{"code":"unsupported_parameter"}}'
OUTPUT_PICO = 50 * 600_000


@dataclass
class Erring:
    """A provider that answers everything with one error, half of it late: once it may go on, or never."""

    base_url: str
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    breaks_off: bool = False


@asynccontextmanager
async def erring(status: int, body: bytes = REFUSED) -> AsyncIterator[Erring]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        [length] = [line[16:] for line in head.splitlines() if line.lower().startswith(b"content-length: ")]
        await reader.readexactly(int(length))
        writer.write(
            b"HTTP/1.1 %d No\r\ncontent-type: application/json\r\nx-should-retry: true\r\ncontent-length: %d\r\n\r\n"
            % (status, len(body))
        )
        writer.write(body[:9])
        await provider.may_go_on.wait()
        if not provider.breaks_off:
            writer.write(body[9:])
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    provider = Erring(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    try:
        async with asyncio.timeout(SECONDS_MAX):
            yield provider
    finally:
        provider.may_go_on.set()
        server.close()


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set as soon as an answer's body is read."""
    begun, read_all = asyncio.Event(), Answer.read_all

    async def spied(answer: Answer, bytes_max: int) -> bytes:
        begun.set()
        return await read_all(answer, bytes_max)

    monkeypatch.setattr(Answer, "read_all", spied)
    return begun


def let_openai_differ(monkeypatch: pytest.MonkeyPatch, **traits: Any) -> None:
    openai = replace(targets.OPENAI, traits=replace(targets.OPENAI.traits, **traits))
    monkeypatch.setattr(targets, "BUILT_IN", {"openai": openai})


async def rows_of(by: Inside) -> list[Call]:
    return await in_thread(list, Call.objects.filter(agent_id=by.alice.agent.pk))


async def stop_while_it_reads(by: Inside, reading: asyncio.Event) -> httpx.Response:
    calling = asyncio.create_task(by.chat())
    await reading.wait()
    [running] = by.process.running.calls()
    running.cut(Stop("agent", by.alice.agent.pk))
    return await calling


async def break_off(by: Inside, provider: Erring) -> httpx.Response:
    provider.breaks_off = True
    provider.may_go_on.set()
    return await by.chat()


@pytest.mark.parametrize(
    ("status", "bills_errors", "basis"),
    [(400, False, "none"), (400, True, "estimated"), (500, True, "worst_case"), (504, False, "worst_case")],
)
@pytest.mark.parametrize("is_stopped", [False, True], ids=["broken off", "stopped"])
async def test_an_error_that_is_not_read_to_its_end_costs_what_its_status_says(
    monkeypatch: pytest.MonkeyPatch, reading: asyncio.Event, status: int, bills_errors: bool, basis: str,
    is_stopped: bool,
) -> None:  # fmt: skip
    let_openai_differ(monkeypatch, bills_errors=bills_errors)
    async with erring(status, UNREAD) as provider, inside(provider.base_url) as by:
        answer = await (stop_while_it_reads(by, reading) if is_stopped else break_off(by, provider))
        assert answer.status_code == (403 if is_stopped else 502)
        assert answer.json()["error"]["awx"]["reason"] == ("agent_paused" if is_stopped else "provider_cut")
        assert answer.headers["x-should-retry"] == "false"
        row = await by.row_of(answer)
    cost_pico = {"none": 0, "estimated": row.held_pico - OUTPUT_PICO, "worst_case": row.held_pico}[basis]
    assert (row.basis, row.cost_pico, row.reason) == (basis, cost_pico, f"provider_{status}")
    assert (row.status, row.http_status) == ("settled" if cost_pico else "voided", status)


async def test_a_ceiling_is_booked_before_the_error_is_read(reading: asyncio.Event) -> None:
    """Whatever a 504 says, the provider may have worked: a process that dies over its words has charged it."""
    async with erring(504) as provider, inside(provider.base_url) as by:
        calling = asyncio.create_task(by.chat())
        await reading.wait()
        async with asyncio.timeout(10):
            while not (rows := await rows_of(by)):
                await asyncio.sleep(0.01)
        assert not provider.may_go_on.is_set()
        assert not calling.done()
        assert [(row.basis, row.cost_pico, row.reason) for row in rows] == [
            ("worst_case", rows[0].held_pico, "provider_504")
        ]
        provider.may_go_on.set()
        answer = await calling
        assert (answer.status_code, answer.content) == (504, REFUSED)
        assert len(await rows_of(by)) == 1


async def test_what_may_be_free_is_decided_once_the_error_is_read(
    monkeypatch: pytest.MonkeyPatch, reading: asyncio.Event
) -> None:
    let_openai_differ(monkeypatch, bills_errors=True)
    async with erring(400, UNREAD) as provider, inside(provider.base_url) as by:
        calling = asyncio.create_task(by.chat())
        await reading.wait()
        assert await rows_of(by) == []
        provider.may_go_on.set()
        answer = await calling
        row = await by.row_of(answer)
    assert (answer.status_code, answer.content) == (400, UNREAD)
    assert (row.status, row.cost_pico, row.reason) == ("voided", 0, "provider_400")


async def test_a_rejected_key_is_told_without_waiting_for_the_providers_words() -> None:
    async with erring(401) as provider, inside(provider.base_url) as by:
        answer = await by.chat()
        assert not provider.may_go_on.is_set()
        row = await by.row_of(answer)
    assert (answer.status_code, row.status, row.reason) == (502, "voided", "provider_key_rejected")


@pytest.mark.parametrize(
    ("body", "bills_errors", "basis", "reason"),
    [
        (REFUSED, False, "none", "provider_key_rejected"),
        (REFUSED, True, "estimated", "provider_400"),
        (UNREAD, True, "none", "provider_key_rejected"),
    ],
)
async def test_a_400_about_our_key_is_told_as_such_whatever_it_costs(
    monkeypatch: pytest.MonkeyPatch, body: bytes, bills_errors: bool, basis: str, reason: str
) -> None:
    let_openai_differ(monkeypatch, bills_errors=bills_errors, bad_key=body[10:30])
    async with erring(400, body) as provider, inside(provider.base_url) as by:
        provider.may_go_on.set()
        answer = await by.chat()
        row = await by.row_of(answer)
    assert (answer.status_code, answer.json()["error"]["awx"]["reason"]) == (502, "provider_key_rejected")
    assert (row.basis, row.reason) == (basis, reason)
    assert row.cost_pico == (row.held_pico - OUTPUT_PICO if basis == "estimated" else 0)


@pytest.mark.parametrize(("status", "may_retry"), [(503, "true"), (504, "false")])
async def test_the_provider_says_whether_to_try_again_where_that_costs_nothing(status: int, may_retry: str) -> None:
    async with erring(status) as provider, inside(provider.base_url) as by:
        provider.may_go_on.set()
        answer = await by.chat()
    assert answer.status_code == status
    assert answer.headers.get_list("x-should-retry") == [may_retry]
