"""A house with a running ledger, on the test database."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from agents.ledger import Ledger
from agents.ledger.connection import conninfo_of_django
from tests.agents.ledger_house import House
from tests.faults.tcp_proxy import TcpProxy


@pytest.fixture
def house(transactional_db: None) -> Iterator[House]:
    house = House()
    yield house
    house.connection.close()


@pytest_asyncio.fixture
async def ledger(house: House) -> AsyncIterator[Ledger]:
    ledger = Ledger()
    await ledger.start()
    yield ledger
    await ledger.stop()


@pytest_asyncio.fixture
async def proxy(house: House) -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(conninfo_of_django())
    yield proxy
    await proxy.stop()


@pytest_asyncio.fixture
async def distant(proxy: TcpProxy) -> AsyncIterator[Ledger]:
    """A ledger that reaches PostgreSQL through the proxy."""
    ledger = Ledger(await proxy.start())
    await ledger.start()
    async with asyncio.timeout(20):
        while not ledger.ready:
            await asyncio.sleep(0.01)
    yield ledger
    await ledger.stop(grace_seconds=3)
