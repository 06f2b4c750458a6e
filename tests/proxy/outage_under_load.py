"""A database that dies, stops and hangs under load: no call is lost, and calls are served again within seconds."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
from django.db import connection

from tests.own_postgres import OwnPostgres
from tests.proxy.closing import close_books
from tests.proxy.load import Outcome, call, chat_body, client_session
from tests.proxy.stage import Stage

# An outage makes calls wait some seconds before they are refused; a slow machine is offered less.
RUNNING_MAX = 1_500
RECOVERY_SECONDS_MAX = 5.0
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Return:
    """How long the database took to accept connections, and how long after that a new call was served, in seconds."""

    database: float
    calls: float

    def __repr__(self) -> str:
        return f"{self.database:.1f} + {self.calls:.1f} s"


@dataclass
class Outages:
    """How the calls ended, and what each return of the database took."""

    outcome: Outcome
    kills: list[Return] = field(default_factory=list)
    stops: list[Return] = field(default_factory=list)

    @property
    def slowest_seconds(self) -> float:
        """The longest that calls had to wait for once the database was there."""
        return max(one.calls for one in self.kills + self.stops)


def outages_lose_nothing(
    on: Stage, postgres: OwnPostgres, *, kills: int, away_seconds: float, calls_per_second: int, seed: int
) -> Outages:
    """Kill the database so many times, stop it and freeze it, all under load, and compare every account.

    away_seconds: how long it stays stopped, and then how long it stays frozen.
    """
    worker = on.worker("100000")
    on.fake.reset()
    connection.close()
    load = _Load(on, worker.key, calls_per_second, random.Random(seed))
    outages = Outages(load.outcome)
    asyncio.run(load.run_beside(_trouble(postgres, load, outages, kills, away_seconds, random.Random(seed + 1))))
    close_books(on, worker)
    statuses = load.outcome.statuses
    settled_count = sum(row.status == "settled" for row in worker.calls())
    assert settled_count == statuses[200] == on.fake.stats()["billed"] > 0, outages
    assert set(statuses) == {200, 503}, outages
    assert set(load.outcome.reasons) <= {"ledger_away", "overloaded"}, outages
    assert outages.slowest_seconds <= RECOVERY_SECONDS_MAX, outages
    return outages


async def _trouble(
    postgres: OwnPostgres, load: "_Load", outages: Outages, kills: int, away_seconds: float, chance: random.Random
) -> None:
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.3, 1.2))
        if chance.random() < 0.5:
            await asyncio.to_thread(postgres.kill)
            outages.kills.append(await load.return_of(postgres.start))
        else:
            await asyncio.to_thread(postgres.kill_one, chance)
            outages.kills.append(await load.return_of(postgres.wait_until_recovered))
    await asyncio.to_thread(postgres.stop)
    await asyncio.sleep(away_seconds)
    outages.stops.append(await load.return_of(postgres.start))
    await asyncio.to_thread(postgres.freeze)
    await asyncio.sleep(away_seconds)
    outages.stops.append(await load.return_of(postgres.thaw))


class _Load:
    """Calls at a steady rate, short and long, streamed and whole."""

    def __init__(self, on: Stage, key: str, calls_per_second: int, chance: random.Random) -> None:
        self.outcome = Outcome()
        self._on, self._key, self._rate, self._chance = on, key, calls_per_second, chance
        self._back: tuple[float, asyncio.Future[float]] | None = None

    async def run_beside(self, trouble: Awaitable[None]) -> None:
        """Offer calls until the trouble is over, and wait for the last answer."""
        running, loop = set[asyncio.Task[None]](), asyncio.get_running_loop()
        troubling = asyncio.ensure_future(trouble)
        async with client_session() as session:
            next_at = loop.time()
            while not troubling.done():
                if len(running) < RUNNING_MAX:
                    task = asyncio.create_task(self._call(session))
                    running.add(task)
                    task.add_done_callback(running.discard)
                next_at = max(next_at + 1 / self._rate, loop.time() - 1)
                await asyncio.sleep(max(0, next_at - loop.time()))
            await asyncio.gather(*running)
        await troubling

    async def return_of(self, bring_back: Callable[[], None]) -> Return:
        """Bring the database back and wait until a call is served that began no earlier."""
        loop = asyncio.get_running_loop()
        began, served = loop.time(), loop.create_future()
        self._back = (began, served)
        await asyncio.to_thread(bring_back)
        back = loop.time()
        async with asyncio.timeout(PATIENCE_SECONDS):
            return Return(back - began, max(0.0, await served - back))

    async def _call(self, session: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        status = await call(session, self._on.server.address, self._key, self._body(), self.outcome)
        if status == 200 and self._back is not None and began > self._back[0]:
            self._back[1].set_result(loop.time())
            self._back = None

    def _body(self) -> bytes:
        chance = self._chance
        delay_ms = 2_000 if chance.random() < 0.1 else chance.randrange(100)
        words = f"tokens_out={chance.randrange(1, 16)} delay_ms={delay_ms} chunk_ms={chance.randrange(20)}"
        return chat_body(words, stream=chance.random() < 0.5)
