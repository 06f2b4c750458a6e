"""What happens to a call on its way: no connection, no answer, another price, a wrong clock, a body that never ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
import time_machine

from agents import guards
from agents.ledger import faults
from agents.models import Balance
from agents.pricebook import BOOK_PATH, PriceBook, current_book
from proxy import incoming
from proxy.prices import Prices
from proxy.providers import targets
from proxy.providers.openai import chat_stream as openai_stream
from proxy.upstream import TimeOuts
from tests.agents.ledger_house import in_thread
from tests.fakes.servers import ProviderFake, provider_fake
from tests.proxy.in_process import Inside, inside

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = TimeOuts(connect_seconds=0.5, first_byte_seconds=0.4, between_bytes_seconds=0.4, total_seconds=1.2)


@pytest.fixture(scope="module")
def fake_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderFake]:
    with provider_fake(tmp_path_factory.mktemp("fake")) as fake:
        yield fake


@pytest.fixture
def fake(fake_process: ProviderFake) -> ProviderFake:
    fake_process.reset()
    return fake_process


def held_and_spent_pico(by: Inside) -> tuple[int, int]:
    balance = Balance.objects.get(budget__agent=by.alice.agent, budget__unit="usd", practice=False)
    return balance.held, balance.spent


def book_at(factor: int, **dates: str) -> PriceBook:
    """The price book with gpt-4o-mini at so many times its price, between dates."""
    rows = orjson.loads(BOOK_PATH.read_bytes())["rows"]
    [row] = (row for row in rows if "gpt-4o-mini" in row["models"] and row["provider"] == "openai")
    old = row | ({"until": dates["since"]} if dates else {})
    new = row | {"rates": {name: str(factor * Decimal(price)) for name, price in row["rates"].items()}} | dates
    return current_book().with_rows([old, new] if dates else [new], version=f"times-{factor}")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_where_no_connection_comes_to_be_nothing_is_charged(scheme: str) -> None:
    """Row 4 of docs/reliability.md: a closed port, and a server that speaks no TLS."""

    async def not_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"this is not TLS\r\n")
        writer.close()

    server = await asyncio.start_server(not_tls, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if scheme == "http":
        server.close()
    async with inside(f"{scheme}://127.0.0.1:{port}/v1") as by:
        answer = await by.chat()
        assert (answer.status_code, answer.headers["x-should-retry"]) == (502, "true")
        row = await by.row_of(answer)
        assert (row.status, row.cost_pico, row.reason) == ("voided", 0, "connect_failed")
        assert row.held_pico > 0
        assert await in_thread(held_and_spent_pico, by) == (0, 0)
    server.close()


@pytest.mark.parametrize(
    ("words", "fields"),
    [("hang=1", {}), ("chunks=1 chunk_ms=900", {"stream": True}), ("chunks=30 chunk_ms=100", {"stream": True})],
    ids=["before the first byte", "between bytes", "in all"],
)
async def test_a_provider_that_hangs_is_given_up_and_charged_at_the_ceiling(
    fake: ProviderFake, words: str, fields: dict[str, Any]
) -> None:
    """Row 20 of docs/reliability.md; A17: the only place among the agent's calls at a time is free again after it."""
    async with inside(fake.openai_base_url, time_outs=QUICK) as by:
        await in_thread(guards.set_guards, by.alice.agent, {"max_parallel": 1}, None)
        async with asyncio.timeout(20):
            answer = await by.chat(words, **fields)
        if fields:
            assert answer.status_code == 200
            assert '"reason":"provider_cut"' in answer.text.splitlines()[-2]
        else:
            assert (answer.status_code, answer.headers["x-should-retry"]) == (504, "false")
        row = await by.row_of(answer)
        assert (row.status, row.basis, row.cost_pico) == ("settled", "worst_case", row.held_pico)
        held_pico, spent_pico = await in_thread(held_and_spent_pico, by)
        assert held_pico == 0
        assert spent_pico >= fake.billed_pico() > 0
        assert fake.stats()["requests"] == 1
        assert (await by.chat()).status_code == 200


@pytest.mark.parametrize(
    ("status", "basis", "is_input"), [(400, "estimated", True), (500, "worst_case", False), (429, "none", None)]
)
async def test_a_provider_that_bills_its_errors_is_charged_for_what_it_read(
    fake: ProviderFake, monkeypatch: pytest.MonkeyPatch, status: int, basis: str, is_input: bool | None
) -> None:
    """metering.md section 1.3: Azure's content filter has read the input, and its 5xx may have worked."""
    billing = replace(targets.OPENAI, traits=replace(targets.OPENAI.traits, bills_errors=True))
    monkeypatch.setattr(targets, "BUILT_IN", {"openai": billing})
    async with inside(fake.openai_base_url) as by:
        answer = await by.chat(f"status={status}")
        row = await by.row_of(answer)
        assert (answer.status_code, row.basis, row.reason) == (status, basis, f"provider_{status}")
        if is_input is None:
            assert row.cost_pico == 0
            return
        assert answer.headers["x-should-retry"] == "false"
        output_pico = 50 * 600_000
        assert row.cost_pico == (row.held_pico - output_pico if is_input else row.held_pico)
        assert row.output_tokens == 0
        assert (await in_thread(held_and_spent_pico, by)) == (0, row.cost_pico)


async def test_a_call_is_priced_by_the_book_that_held_it(fake: ProviderFake) -> None:
    """Row 16 of docs/reliability.md: the book is exchanged while the provider works."""
    async with inside(fake.openai_base_url) as by:
        words = "delay_ms=300 tokens_out=9"
        running = asyncio.create_task(by.chat(words))
        async with asyncio.timeout(10):
            while fake.stats()["open"] < 1:
                await asyncio.sleep(0.01)
        by.process.prices = Prices(book_at(3))
        before = await by.row_of(await running)
        assert before.cost_pico == fake.billed_pico() > 0
        after = await by.row_of(await by.chat(words))
        assert after.cost_pico == 3 * before.cost_pico
        assert (before.price_version, after.price_version) == (current_book().version, "times-3")


@pytest.mark.parametrize("rises_in_seconds", [-60, 60])
@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_wrong_clock_holds_enough_around_a_rise_of_price(
    fake: ProviderFake, minutes: int, rises_in_seconds: int
) -> None:
    """Row 13 of docs/reliability.md."""
    rises_at = datetime.now(UTC) + timedelta(seconds=rises_in_seconds)
    async with inside(fake.openai_base_url, time_outs=QUICK) as by:
        by.process.prices = Prices(book_at(5, since=rises_at.isoformat()))
        # The fake bills exactly the bound: as dear as a call can be.
        with time_machine.travel(datetime.now(UTC) + timedelta(minutes=minutes), tick=True):
            row = await by.row_of(await by.chat("bill=ceiling"))
        assert row.status == "settled"
        assert 0 < row.cost_pico <= row.held_pico


@pytest.mark.parametrize("is_finish_broken", [False, True])
async def test_a_fault_of_our_own_in_a_stream_ends_it_and_charges_the_ceiling(
    fake: ProviderFake, monkeypatch: pytest.MonkeyPatch, is_finish_broken: bool
) -> None:
    """Row 7 of docs/reliability.md, where the process lives on: nobody waits for ever, and nothing stays held."""
    if is_finish_broken:
        monkeypatch.setattr(openai_stream.ChatMeter, "finish", lambda self: faults.fault("finish"))
    faults.arm("mid_stream:3:raise,finish:1:raise")
    try:
        async with inside(fake.openai_base_url) as by, asyncio.timeout(20):
            answer = await by.chat("chunks=8 chunk_ms=20", stream=True)
            assert "[DONE]" not in answer.text
            assert '"reason":"interrupted"' in answer.text.splitlines()[-2]
            row = await by.row_of(answer)
            assert (row.status, row.basis, row.cost_pico) == ("settled", "worst_case", row.held_pico)
            assert row.cost_pico >= fake.billed_pico() > 0
    finally:
        faults.arm("")


async def test_a_body_that_does_not_end_is_given_up_without_a_hold(
    fake: ProviderFake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 22 of docs/reliability.md: other calls are served meanwhile."""
    monkeypatch.setattr(incoming, "BODY_SECONDS_MAX", 0.6)

    async def endless() -> AsyncIterator[bytes]:
        yield b'{"model":"gpt-4o-mini",'
        await asyncio.Event().wait()

    async with inside(fake.openai_base_url) as by:
        slow = [asyncio.create_task(by.chat(content=endless())) for _ in range(20)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(10):
            assert (await by.chat()).status_code == 200
            answers = await asyncio.gather(*slow)
        assert {answer.status_code for answer in answers} == {400}
        assert "did not arrive" in answers[0].json()["error"]["message"]
        assert fake.stats()["requests"] == 1
