from collections.abc import AsyncIterator

import pytest
from django.conf import settings

from proxy.guards.stores import OwnStore, Store
from proxy.guards.valkey import ValkeyStore
from tests.proxy.guards.counting import SetClock

PATIENT_SECONDS = 10.0


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def valkey(clock: SetClock) -> AsyncIterator[ValkeyStore]:
    store = ValkeyStore(settings.REDIS_URL, clock, seconds=PATIENT_SECONDS, tell=lambda since: None)
    yield store
    await store.close()


@pytest.fixture(params=["valkey", "own"])
def store(request: pytest.FixtureRequest, clock: SetClock, valkey: ValkeyStore) -> Store:
    """The counters of all processes, and those of one: they decide alike."""
    return valkey if request.param == "valkey" else OwnStore(clock)
