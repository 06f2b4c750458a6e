"""PostgreSQL answers but writes nothing (its disk is full, or it became a read-only copy): refused, nothing lost."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agents.ledger import CallEnd, Ledger, LedgerAway
from tests.agents.ledger_house import USD, House

pytestmark = pytest.mark.django_db(transaction=True)

DISK_FULL, READ_ONLY = "53100", "25006"


@contextmanager
def refusing_writes(house: House, code: str) -> Iterator[None]:
    """Let every change of a balance fail with this SQLSTATE."""
    house.sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '{code}'; END $$"
    )
    house.sql("CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON balance FOR EACH STATEMENT EXECUTE FUNCTION refuse()")
    try:
        yield
    finally:
        house.sql("DROP FUNCTION refuse CASCADE")


@pytest.mark.parametrize("code", [DISK_FULL, READ_ONLY])
async def test_a_hold_that_cannot_be_written_is_refused_within_a_second(
    house: House, ledger: Ledger, code: str
) -> None:
    """I1."""
    await ledger.reserve(house.ask(1))
    with refusing_writes(house, code):
        for _ in range(5):
            began = time.monotonic()
            with pytest.raises(LedgerAway):
                await ledger.reserve(house.ask(USD))
            assert time.monotonic() - began < 1
    assert house.amounts() == (0, 1)
    async with asyncio.timeout(5):
        while not ledger.ready:
            await asyncio.sleep(0.01)
    await ledger.reserve(house.ask(2))
    assert house.amounts() == (0, 3)


@pytest.mark.parametrize("code", [DISK_FULL, READ_ONLY])
async def test_an_ending_that_cannot_be_written_now_waits_until_it_can(house: House, ledger: Ledger, code: str) -> None:
    """I1, row 11 of docs/reliability.md: whole, and once."""
    ask, other = house.ask(USD), house.ask(USD)
    await ledger.reserve(ask)
    await ledger.reserve(other)
    with refusing_writes(house, code):
        ending = ledger.settle(ask.call_id, CallEnd(cost_pico=5, tokens=9, output_tokens=9))
        voiding = ledger.void(other.call_id, CallEnd())
        await asyncio.sleep(0.5)
        assert not ending.done()
        with pytest.raises(LedgerAway):
            await ledger.reserve(house.ask(1))
    assert await asyncio.wait_for(ending, 5) == "settled"
    assert await asyncio.wait_for(voiding, 5) == "voided"
    assert house.amounts() == (5, 0)
    assert [row["output_tokens"] for row in house.book(ask.call_id)] == [9]
