"""Statements below psycopg's cursors, against PostgreSQL on both loops: each ends in an answer, an error or a loss."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
import uvloop

from agents.ledger import CallEnd, Ledger
from agents.ledger import connection as connections
from agents.ledger.statement import Statement, Statements
from tests.agents.ledger_house import House
from tests.faults.tcp_proxy import TcpProxy

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS_MAX = 5.0
BIG = 24_000_000  # bytes; far more than sockets hold
PID = Statement("pid", "SELECT pg_backend_pid()")
SLEEP = Statement("sleep", "SELECT pg_sleep($1::float8)")
DIVIDE = Statement("divide", "SELECT 6 / (2 - n) FROM generate_series($1::integer, 3) AS n")
LENGTH = Statement("length", "SELECT length($1::text), repeat('b', $2::integer)")

type Meeting = Callable[["Guest"], Awaitable[None]]


class Guest:
    """One connection, and how often it was told that the other side hung up."""

    def __init__(self, connection: connections.Connection) -> None:
        self.lost = asyncio.Event()
        self.lost_count = 0
        self.line = connection.fileno()
        self.statements = Statements(connection, self._lose)

    def _lose(self) -> None:
        self.lost_count += 1
        self.lost.set()

    async def pid(self) -> int:
        [(pid,)] = await self.statements.fetch(PID, [])
        return int(pid)

    def has_left(self) -> bool:
        """Whether nothing of the connection is left on the loop (asyncio's; uvloop does not say)."""
        loop = asyncio.get_running_loop()
        return self.statements.is_closed and not (loop.remove_reader(self.line) or loop.remove_writer(self.line))


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def meet(request: pytest.FixtureRequest, house: House) -> Iterator[Callable[[Meeting], None]]:
    """Run a meeting with a guest on one of the two loops, in bounded time."""

    async def hold(meeting: Meeting) -> None:
        guest = Guest(await connections.connect(connections.conninfo_of_django(), purpose="test"))
        try:
            async with asyncio.timeout(SECONDS_MAX):
                await meeting(guest)
        finally:
            guest.statements.close()
        assert guest.has_left()

    def run(meeting: Meeting) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(hold(meeting))

    yield run
    # A server that sleeps does not see that its client has left, and would keep the test's database for a minute.
    house.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = %s", SLEEP.text)


async def _lost(asked: Awaitable[Any]) -> None:
    with pytest.raises(psycopg.Error) as raised:
        await asked
    assert connections.is_lost(raised.value), raised.value


def test_an_error_half_way_through_an_answer_leaves_the_next_one_alone(meet: Callable[[Meeting], None]) -> None:
    async def meeting(guest: Guest) -> None:
        fetch = guest.statements.fetch
        with pytest.raises(psycopg.errors.DivisionByZero) as raised:
            await fetch(DIVIDE, ["1"])
        assert raised.value.sqlstate == "22012"
        assert not connections.is_lost(raised.value)
        assert await fetch(DIVIDE, ["3"]) == [(-6,)]
        assert await fetch(DIVIDE, [None]) == []
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            await fetch(DIVIDE, ["three"])
        with pytest.raises(psycopg.errors.SyntaxError):
            await fetch(Statement("wrong", "SELECT FROM FROM"), [])
        assert await fetch(DIVIDE, ["3"]) == [(-6,)]

    meet(meeting)


def test_columns_come_in_their_types_and_notices_are_no_answers(meet: Callable[[Meeting], None]) -> None:
    async def meeting(guest: Guest) -> None:
        fetch = guest.statements.fetch
        typed = Statement("typed", "SELECT '{1,NULL}'::bigint[], '{\"a\": 1}'::json, $1::text")
        assert await fetch(typed, ["Zoë"]) == [([1, None], {"a": 1}, "Zoë")]
        create = Statement("create", "CREATE TEMPORARY TABLE IF NOT EXISTS seen (n integer)")
        assert [await fetch(create, []) for _ in range(3)] == [[], [], []]
        assert await fetch(typed, [None]) == [([1, None], {"a": 1}, None)]

    meet(meeting)


def test_a_flush_of_megabytes_lets_the_loop_go_on(meet: Callable[[Meeting], None]) -> None:
    async def meeting(guest: Guest) -> None:
        turns = 0

        async def turn() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        other = asyncio.create_task(turn())
        await guest.pid()
        turns = 0
        [(length, answer)] = await guest.statements.fetch(LENGTH, ["a" * BIG, str(BIG)])
        other.cancel()
        assert (length, len(answer)) == (BIG, BIG)
        assert turns > 10
        assert not asyncio.get_running_loop().remove_writer(guest.line)
        assert await guest.pid() > 0

    meet(meeting)


@pytest.mark.parametrize("is_asking", [True, False], ids=["asking", "idle"])
def test_a_session_that_ends_is_noticed_at_once(house: House, meet: Callable[[Meeting], None], is_asking: bool) -> None:
    async def meeting(guest: Guest) -> None:
        pid = await guest.pid()
        asked = asyncio.ensure_future(guest.statements.fetch(SLEEP, ["60"])) if is_asking else None
        await asyncio.sleep(0)
        house.sql("SELECT pg_terminate_backend(%s)", pid)
        if asked:
            await _lost(asked)
        await guest.lost.wait()
        assert guest.has_left()
        await _lost(guest.pid())
        assert guest.lost_count == 1

    meet(meeting)


def test_a_line_that_is_reset_is_lost_within_moments(meet: Callable[[Meeting], None]) -> None:
    async def meeting(guest: Guest) -> None:
        proxy = TcpProxy(connections.conninfo_of_django())
        far = Guest(await connections.connect(await proxy.start(), purpose="test"))
        await far.pid()
        asked = asyncio.ensure_future(far.statements.fetch(SLEEP, ["60"]))
        await asyncio.sleep(0.02)
        proxy.reset()
        await _lost(asked)
        assert (far.lost_count, far.has_left()) == (1, True)
        await proxy.stop()
        assert await guest.pid() > 0

    meet(meeting)


@pytest.mark.parametrize("is_killed", [False, True], ids=["answered", "killed"])
def test_what_the_loop_forgets_to_tell_is_found_by_looking(
    house: House, meet: Callable[[Meeting], None], is_killed: bool
) -> None:
    async def meeting(guest: Guest) -> None:
        pid = await guest.pid()
        asyncio.get_running_loop().remove_reader(guest.line)
        if not is_killed:
            assert await guest.pid() == pid
            return
        asked = asyncio.ensure_future(guest.statements.fetch(SLEEP, ["60"]))
        await asyncio.sleep(0)
        house.sql("SELECT pg_terminate_backend(%s)", pid)
        await _lost(asked)

    meet(meeting)


def test_an_answer_that_does_not_come_is_a_lost_connection(
    meet: Callable[[Meeting], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.1)

    async def meeting(guest: Guest) -> None:
        await guest.pid()
        await _lost(guest.statements.fetch(SLEEP, ["60"]))
        assert guest.has_left()

    meet(meeting)


def test_a_statement_that_is_cancelled_leaves_no_half_read_connection(meet: Callable[[Meeting], None]) -> None:
    async def meeting(guest: Guest) -> None:
        await guest.pid()
        for statement, values in ((LENGTH, ["a" * BIG, "1"]), (PID, [])):
            asked = asyncio.ensure_future(guest.statements.fetch(statement, values))
            await asyncio.sleep(0)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError if statement is LENGTH else psycopg.OperationalError):
                await asked
            assert guest.has_left()

    meet(meeting)


async def test_a_ledger_whose_session_ends_while_nothing_waits_connects_again_by_itself(
    house: House, ledger: Ledger
) -> None:
    await ledger.reserve(house.ask(1))
    before = ledger.batcher.connected_at
    [(ended,)] = house.sql(
        "SELECT bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'shredder ledger flush' AND datname = current_database()"
    )
    assert ended
    async with asyncio.timeout(SECONDS_MAX):
        while ledger.ready and ledger.batcher.connected_at == before:
            await asyncio.sleep(0.01)
        while not ledger.ready:
            await asyncio.sleep(0.01)
    ask = house.ask(2)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=2))
    assert house.amounts() == (2, 1)
