"""Who listens hears of every stop, also of one that was announced while nobody could hear it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from django.db import transaction

from agents import budgets, keys, organization_keys
from agents.ledger import Stop, StopListener, stops
from agents.ledger.connection import conninfo_of_django
from agents.models import KeyMode
from tests.agents.ledger_house import House, in_thread
from tests.faults.tcp_proxy import TcpProxy

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(eq=False)
class FakeCall:
    """As much of a running call as a listener sees."""

    agent_id: UUID
    key_id: int | None = 0
    organization_key_id: int | None = None
    organization_id: UUID = field(default_factory=uuid4)
    cut_by: list[Stop] = field(default_factory=list)

    def cut(self, stop: Stop) -> None:
        self.cut_by.append(stop)


@pytest.fixture
def calls() -> list[FakeCall]:
    return []


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(conninfo_of_django())
    yield proxy
    await proxy.stop()


@pytest_asyncio.fixture
async def listener(house: House, calls: list[FakeCall], proxy: TcpProxy) -> AsyncIterator[StopListener]:
    """A listener that reaches PostgreSQL through the proxy and has begun to listen."""
    listener = StopListener(lambda: calls, await proxy.start())
    task = asyncio.create_task(listener.run())
    await until(lambda: listening(house) == 1)
    yield listener
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def listening(house: House) -> int:
    """How many sessions have said LISTEN and wait; the check that follows it is the last thing they said."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = %s AND state = 'idle'"
    return int(house.sql(query, _as_sent(stops.CHECK))[0][0])


def _as_sent(query: str) -> str:
    return query.replace("%(agents)s", "$1").replace("%(keys)s", "$2").replace("%(organization_keys)s", "$3")


async def until(happened: Callable[[], bool], seconds_max: float = 10.0) -> None:
    async with asyncio.timeout(seconds_max):
        while not happened():
            await asyncio.sleep(0.01)


async def test_a_stop_cuts_the_agents_calls_and_no_others(
    house: House, calls: list[FakeCall], listener: StopListener
) -> None:
    charlie = await in_thread(House)
    mine, foreign = FakeCall(house.agent.pk), FakeCall(charlie.agent.pk)
    calls += [mine, foreign]
    await in_thread(budgets.stop_now, house.agent, None)
    await until(lambda: bool(mine.cut_by), 1.0)
    assert mine.cut_by == [Stop("agent", house.agent.pk)]
    assert foreign.cut_by == []
    charlie.connection.close()


async def test_a_stop_that_is_rolled_back_cuts_nothing(
    house: House, calls: list[FakeCall], listener: StopListener
) -> None:
    call = FakeCall(house.agent.pk, organization_id=house.organization.pk)
    calls.append(call)

    def stop_and_fail() -> None:
        with transaction.atomic():
            budgets.stop_now(house.agent, None)
            transaction.set_rollback(True)
        budgets.announce(Stop("organization", house.organization.pk))

    await in_thread(stop_and_fail)
    await until(lambda: bool(call.cut_by))
    assert call.cut_by == [Stop("organization", house.organization.pk)], "the later one came, the earlier never did"


async def test_a_revoked_key_is_shown_masked(house: House, calls: list[FakeCall], listener: StopListener) -> None:
    key, _ = await in_thread(keys.issue, house.agent, KeyMode.LIVE, by=None)
    call, other = FakeCall(house.agent.pk, key.pk), FakeCall(house.agent.pk, key.pk + 1)
    calls += [call, other]
    await in_thread(keys.revoke, key, by=None)
    await until(lambda: bool(call.cut_by))
    assert (call.cut_by[0].shown, other.cut_by) == (str(key), [])


async def test_a_revoked_organisation_key_cuts_its_calls_and_no_others(
    house: House, calls: list[FakeCall], listener: StopListener
) -> None:
    key, _ = await in_thread(organization_keys.issue, house.organization, by=None)
    call, agents_own = FakeCall(house.agent.pk, None, key.pk), FakeCall(house.agent.pk, key.pk)
    calls += [call, agents_own]
    await in_thread(organization_keys.revoke, key, by=None)
    await until(lambda: bool(call.cut_by))
    assert (call.cut_by[0].shown, agents_own.cut_by) == (str(key), [])


async def test_a_lost_revocation_of_an_organisation_key_is_made_up(
    house: House, calls: list[FakeCall], listener: StopListener, proxy: TcpProxy
) -> None:
    key, _ = await in_thread(organization_keys.issue, house.organization, by=None)
    call = FakeCall(house.agent.pk, None, key.pk)
    calls.append(call)
    proxy.is_away = True
    await until(lambda: listening(house) == 0)
    await in_thread(organization_keys.revoke, key, by=None)
    proxy.is_away = False
    await until(lambda: bool(call.cut_by), 2 * stops.RETRY_SECONDS_MAX)
    assert call.cut_by[0].shown == str(key)


async def test_what_was_announced_while_postgresql_was_away_is_made_up(
    house: House, calls: list[FakeCall], listener: StopListener, proxy: TcpProxy, caplog: pytest.LogCaptureFixture
) -> None:
    key, _ = await in_thread(keys.issue, house.agent, KeyMode.LIVE, by=None)
    neighbour = await in_thread(budgets.create_agent, house.organization, "Neighbour", daily_limit_pico=None, by=None)
    stopped, revoked, going = FakeCall(house.agent.pk), FakeCall(neighbour.pk, key.pk), FakeCall(neighbour.pk)
    calls += [stopped, revoked, going]
    proxy.is_away = True
    await until(lambda: listening(house) == 0)
    await in_thread(budgets.stop_now, house.agent, None)
    await in_thread(keys.revoke, key, by=None)
    await asyncio.sleep(2 * stops.RETRY_SECONDS_MAX)  # some attempts fail meanwhile
    assert (stopped.cut_by, revoked.cut_by) == ([], [])
    proxy.is_away = False
    await until(lambda: bool(stopped.cut_by and revoked.cut_by), 2 * stops.RETRY_SECONDS_MAX)
    assert revoked.cut_by[0].shown == str(key)
    assert going.cut_by == []
    assert len([record for record in caplog.records if "not heard" in record.message]) == 1, "an outage is told once"


async def test_a_paused_or_resumed_agent_is_not_cut_when_the_listener_comes_back(
    house: House, calls: list[FakeCall], listener: StopListener, proxy: TcpProxy
) -> None:
    paused = await in_thread(budgets.create_agent, house.organization, "Paused", daily_limit_pico=None, by=None)
    calls += [FakeCall(house.agent.pk), FakeCall(paused.pk)]
    proxy.is_away = True
    await until(lambda: listening(house) == 0)
    await in_thread(budgets.pause, paused, None)
    await in_thread(budgets.stop_now, house.agent, None)
    await in_thread(budgets.resume, house.agent, None)
    proxy.is_away = False
    await until(lambda: listening(house) == 1)
    assert [call.cut_by for call in calls] == [[], []]


async def test_a_lost_notification_is_made_up_without_any_failure(
    house: House, calls: list[FakeCall], listener: StopListener
) -> None:
    call = FakeCall(house.agent.pk)
    calls.append(call)
    house.sql("UPDATE agent SET stopped_at = now(), paused_at = now() WHERE id = %s", house.agent.pk)
    await until(lambda: bool(call.cut_by), stops.CHECK_SECONDS + 2.0)


@pytest.mark.parametrize(
    "payload", ["", "{", "[]", "7", "{}", '{"agent":"x"}', '{"agent":"x","key":"1"}', '{"key":"x"}']
)
async def test_a_notification_that_names_no_stop_is_passed_over(
    house: House, calls: list[FakeCall], listener: StopListener, payload: str
) -> None:
    call = FakeCall(house.agent.pk)
    calls.append(call)
    house.sql(stops.ANNOUNCE, stops.CHANNEL, payload)
    with pytest.raises(ValueError):
        stops.read_stop(payload)
    await in_thread(budgets.stop_now, house.agent, None)
    await until(lambda: bool(call.cut_by))


@pytest.mark.parametrize(
    "stop",
    [Stop("agent", uuid4()), Stop("organization", uuid4()), Stop("key", 7, "awx_live_a…"), Stop("organization_key", 7)],
)
def test_a_stop_is_read_as_it_was_sent(stop: Stop) -> None:
    assert stops.read_stop(stop.payload()) == stop
