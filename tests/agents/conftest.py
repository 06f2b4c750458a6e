"""A house with a running ledger, on the test database."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from agents.ledger import Ledger
from tests.agents.ledger_house import House


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
