"""The counters in Valkey: one script and one round trip for all counters of a call. Nobody waits for its absence."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from proxy.guards.batches import Batches, Failed
from proxy.guards.clock import Clock
from proxy.guards.stores import StoreAway
from proxy.guards.terms import Answer, Ask, Ended, Verdict

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 0.1
PING_SECONDS = 1.0
SCRIPTS = Path(__file__).parent / "lua"


class ValkeyStore:
    """Counters that all processes share. After one failure it counts as away until a ping says otherwise.

    seconds: how long a call waits for an answer; tell: called with the time since which it is away, None: it is back.
    """

    def __init__(
        self, url: str, clock: Clock, *, seconds: float = ANSWER_SECONDS, tell: Callable[[datetime | None], None]
    ) -> None:
        self.away_since: datetime | None = None
        self._seconds = seconds
        self._clock = clock
        self._tell = tell
        self._client: Redis = Redis.from_url(
            url,
            socket_connect_timeout=max(seconds, PING_SECONDS),
            socket_timeout=max(seconds, PING_SECONDS),
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        scripts = {name: self._client.register_script(_script(name)) for name in ("take", "give_back", "end")}
        self._batches = Batches(self._client, scripts, seconds=seconds)

    async def take(self, ask: Ask) -> Answer:
        """Take a call's part of every counter, or of none."""
        said = orjson.loads(await self._run("take", ask))
        return Answer(**said | {"verdict": Verdict(said["verdict"])})

    async def give_back(self, ask: Ask, taken: Answer) -> None:
        """Undo a take, of a call that was refused after all."""
        await self._run("give_back", ask, taken)

    async def end(self, ask: Ask, taken: Answer, ended: Ended) -> None:
        """A call that was taken has ended."""
        await self._run("end", ask, taken, ended)

    async def watch(self) -> None:
        """Ask every second whether Valkey is there, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(max(self._seconds, PING_SECONDS)):
                    await self._client.ping()
            except (RedisError, OSError, TimeoutError) as error:
                self._fail(error)
            else:
                self._recover()
            await asyncio.sleep(PING_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _run(self, name: str, ask: Ask, *facts: Answer | Ended) -> Any:
        if self.away_since is not None:
            raise StoreAway
        arguments = [orjson.dumps(fact) for fact in (ask, *facts)]
        try:
            return await self._batches.run(name, _keys(ask), [*arguments, self._clock.told_ms])
        except Failed as error:
            self._fail(error)
            raise StoreAway from error

    def _fail(self, error: Exception) -> None:
        if self.away_since is None:
            self.away_since = datetime.now(UTC)
            logger.warning("Valkey is away, guards count per process: %r", error)
            self._tell(self.away_since)

    def _recover(self) -> None:
        if self.away_since is not None:
            logger.warning("Valkey is back: guards count for all processes again")
            self.away_since = None
            self._tell(None)


def _keys(ask: Ask) -> list[str]:
    """Four keys on one node of a cluster: counters, like messages, their order, the session's failures."""
    agent = f"guards:{{{ask.agent}}}"
    return [agent, f"{agent}:repeats", f"{agent}:recent", f"{agent}:failures:{ask.session}"]


@cache
def _script(name: str) -> str:
    return "\n".join((SCRIPTS / f"{part}.lua").read_text() for part in ("windows", name))
