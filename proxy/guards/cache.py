"""Answers that are given again: exact match, within one organisation, sealed, and only while Valkey is there (B10)."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from accounts.vault import SealBroken, digest_of, seal_data, unseal_data

logger = logging.getLogger(__name__)

ANSWER_BYTES_MAX = 2**20
ORGANIZATION_BYTES_MAX = 64 * 2**20
AWAY_SECONDS = 1.0  # after a failure, for so long every question is a miss at once
CONNECTIONS_MAX = 64
LISTS_SECONDS = 31 * 86_400  # longer than the longest life of an answer
PURPOSE = "answer cache"
_KEEP = (Path(__file__).parent / "keep_answer.lua").read_text()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the answer to exactly one question is kept."""

    organization_id: UUID
    digest: str

    @property
    def purpose(self) -> str:
        """What the organisation's answers are sealed for."""
        return f"{PURPOSE} {self.organization_id}"

    def key(self, of: str = "") -> str:
        """A key of the store. of: one of the organisation's lists, else the answer's own."""
        return f"awx:cache:{{{self.organization_id}}}:{of or self.digest}"


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as its first client received it, the call that made it and what that cost.

    kept_at: seconds since 1970.
    """

    status: int
    content_type: str
    body: bytes
    cost_pico: int
    call_id: str
    kept_at: float


def place_of(organization_id: UUID, body: bytes, **circumstances: object) -> Place:
    """The place of a question. body: the exact bytes that would leave; circumstances: what else shapes the answer.

    The digest is keyed, so that who reads the store cannot try guesses, and holds the organisation: the same question
    of another one has another place, and nothing tells the two that they asked the same.
    """
    asked = orjson.dumps({"organization": str(organization_id), **circumstances}, option=orjson.OPT_SORT_KEYS)
    return Place(organization_id, digest_of(asked + b"\n" + body, purpose=PURPOSE).hex())


class AnswerCache:
    """The answers of all organisations. Without its store every question is a miss, and never an error.

    url: of Valkey; the connection is made at the first question. seconds_max: how long an answer of it is waited for.
    """

    def __init__(self, url: str, *, seconds_max: float) -> None:
        self._url = url
        self._seconds_max = seconds_max
        self._client: Redis | None = None
        self._away_until = 0.0

    async def look_up(self, place: Place, *, seconds_max: float) -> Kept | None:
        """The answer kept there, unless it is older than seconds_max."""
        sealed = await self._ask(self._store().get(place.key())) if self._is_there() else None
        kept = _opened(sealed, place) if isinstance(sealed, bytes) else None
        return kept if kept is not None and time.time() - kept.kept_at < seconds_max else None

    async def keep(self, place: Place, kept: Kept, *, seconds: int) -> None:
        """Keep an answer for so many seconds, if it is not too large; others of its organisation may make room."""
        if len(kept.body) > ANSWER_BYTES_MAX or not self._is_there():
            return
        keys = [place.key(), place.key("ends"), place.key("sizes")]
        arguments: list[bytes | int] = [_sealed(kept, place), seconds, ORGANIZATION_BYTES_MAX, LISTS_SECONDS]
        await self._ask(self._store().register_script(_KEEP)(keys=keys, args=arguments))

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def _is_there(self) -> bool:
        return time.monotonic() >= self._away_until

    def _store(self) -> Redis:
        if self._client is None:
            self._client = Redis.from_url(
                self._url, socket_timeout=self._seconds_max, socket_connect_timeout=self._seconds_max,
                retry=Retry(NoBackoff(), 0), max_connections=CONNECTIONS_MAX,
            )  # fmt: skip
        return self._client

    async def _ask[T](self, question: Awaitable[T]) -> T | None:
        """The store's answer, None where it gives none in time."""
        try:
            async with asyncio.timeout(self._seconds_max):
                return await question
        except (RedisError, OSError, TimeoutError) as error:
            logger.warning("the answer cache is left out for a moment: %r", error)
            self._away_until = time.monotonic() + AWAY_SECONDS
            return None


class Keeper:
    """One call's chance to be kept: gathers what its client receives, up to the size that is kept."""

    def __init__(self, cache: AnswerCache, place: Place, *, call_id: UUID, seconds: int) -> None:
        self._cache = cache
        self._place = place
        self._call_id = call_id
        self._seconds = seconds
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        """The client receives this; beyond the size that is kept nothing is gathered."""
        self._size += len(piece)
        if self._size <= ANSWER_BYTES_MAX:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    async def keep(self, status: int, content_type: str, cost_pico: int) -> None:
        """The answer was whole and successful: keep what was gathered."""
        if self._size > ANSWER_BYTES_MAX:
            return
        body = b"".join(self._pieces)
        kept = Kept(status, content_type, body, cost_pico, str(self._call_id), time.time())
        await self._cache.keep(self._place, kept, seconds=self._seconds)


def _sealed(kept: Kept, place: Place) -> bytes:
    facts = asdict(kept)
    body = facts.pop("body")
    data = orjson.dumps(facts) + b"\n" + body
    return seal_data(data, purpose=place.purpose, binding=place.digest.encode())


def _opened(sealed: bytes, place: Place) -> Kept | None:
    """What was sealed there; None for what does not open: the master key went, or somebody wrote into the store."""
    try:
        data = unseal_data(sealed, purpose=place.purpose, binding=place.digest.encode())
    except SealBroken:
        return None
    facts, _, body = data.partition(b"\n")
    return Kept(body=body, **orjson.loads(facts))
