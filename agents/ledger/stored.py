"""Which answers providers keep, and for whom: written in batches, before a client can name the answer."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import psycopg

from agents.ledger import connection as connections

if TYPE_CHECKING:
    from uuid import UUID

logger = logging.getLogger(__name__)

KEPT_DAYS = 30  # as long as OpenAI says it keeps them
BATCH_MAX = 500
WAITING_MAX = 10_000  # while PostgreSQL is away; beyond it an answer is not noted, and cannot be continued
RETRY_SECONDS = 0.5

# The same answer again replaces what was known: an agent can only overwrite its own.
WRITE = """
INSERT INTO stored_response (organization_id, agent_id, practice, response_id, provider, model, input_tokens,
                             output_tokens, created_at, expires_at)
SELECT r.*, ledger_clock(), ledger_clock() + make_interval(days => %(days)s)
FROM unnest(%(organization)s::uuid[], %(agent)s::uuid[], %(practice)s::boolean[], %(response)s::text[],
            %(provider)s::text[], %(model)s::text[], %(input)s::bigint[], %(output)s::bigint[]) AS r
ON CONFLICT (agent_id, practice, response_id) DO UPDATE
SET provider = excluded.provider, model = excluded.model, input_tokens = excluded.input_tokens,
    output_tokens = excluded.output_tokens, created_at = excluded.created_at, expires_at = excluded.expires_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An answer under its provider's id.

    model: as the provider was asked for it. input_tokens, output_tokens: what its model read and wrote, the answers
    before included; None where that is not known exactly.
    """

    organization_id: UUID
    agent_id: UUID
    practice: bool
    response_id: str
    provider: str
    model: str
    input_tokens: int | None = None
    output_tokens: int | None = None

    @property
    def tokens(self) -> int | None:
        """What a call that continues it reads of it at most; None where that is not known."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return self.input_tokens + self.output_tokens


type _Waiting = tuple[StoredAnswer, asyncio.Future[None]]


class StoredResponses:
    """A bounded queue in front of one connection, which is opened when the first answer is to be written."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._waiting: deque[_Waiting] = deque()
        self._work = asyncio.Event()
        self._connection: connections.Connection | None = None
        self._is_late = False
        self._turn = asyncio.Lock()

    async def remember(self, answer: StoredAnswer, *, seconds_max: float) -> bool:
        """Write the answer down; returns whether that was done in time. Otherwise it is written later, if it can be.

        When somebody has waited in vain nobody else does, until the database writes again.
        """
        if len(self._waiting) >= WAITING_MAX:
            return False
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((answer, written))
        self._work.set()
        if self._is_late:
            return False
        done, _ = await asyncio.wait({written}, timeout=seconds_max)
        self._is_late = not done
        return bool(done)

    async def run(self) -> None:
        """Write what waits until cancelled."""
        while True:
            await self._work.wait()
            try:
                await self.write()
            except (psycopg.Error, OSError, TimeoutError) as error:
                if not self._is_late:
                    logger.warning("Answers that providers keep are not written for now: %r", error)
                self._is_late = True
                await self.close()
                await asyncio.sleep(RETRY_SECONDS)

    async def write(self) -> None:
        """Write all that waits; raises psycopg.Error, OSError or TimeoutError, and keeps what was not written."""
        async with self._turn:
            await self._write()

    async def _write(self) -> None:
        while batch := list(islice(self._waiting, BATCH_MAX)):
            try:
                await self._insert([answer for answer, _ in batch])
            except psycopg.Error as error:
                if connections.is_away(error) or connections.is_passing(error):
                    raise
                # Rows that cannot be written must not hold up those behind them.
                logger.exception("Answers that providers keep could not be written")
            self._is_late = False
            for _ in batch:
                _, written = self._waiting.popleft()
                if not written.done():
                    written.set_result(None)
        self._work.clear()

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _insert(self, answers: list[StoredAnswer]) -> None:
        # One statement cannot replace the same row twice.
        rows = list({(one.agent_id, one.practice, one.response_id): one for one in answers}.values())
        if self._connection is None or self._connection.closed:
            self._connection = await connections.connect(self._conninfo, purpose="stored responses")
        values = {
            "days": KEPT_DAYS,
            "organization": [row.organization_id for row in rows],
            "agent": [row.agent_id for row in rows],
            "practice": [row.practice for row in rows],
            "response": [row.response_id for row in rows],
            "provider": [row.provider for row in rows],
            "model": [row.model for row in rows],
            "input": [row.input_tokens for row in rows],
            "output": [row.output_tokens for row in rows],
        }
        with connections.bounded(self._connection):
            await self._connection.execute(WRITE, values)
