"""Questions that callers ask about their budgets and calls; on a connection of their own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg

from agents.ledger import connection as connections
from agents.ledger.errors import LedgerAway
from agents.ledger.terms import BudgetFacts, CallState

if TYPE_CHECKING:
    from uuid import UUID

# A budget whose window has no balance yet has spent nothing; its window is computed.
BALANCES_OF = """
SELECT b.id, b.scope, b.scope_name, b.unit, b."window", b.mode, b."limit", coalesce(l.subject, ''),
       coalesce(l.spent, 0), coalesce(l.held, 0), coalesce(l.window_start, w.window_start),
       CASE WHEN l.id IS NULL THEN w.window_end ELSE l.window_end END
FROM budget b
JOIN organization o ON o.id = b.organization_id
CROSS JOIN LATERAL ledger_window(b."window", o.time_zone, clock_timestamp()) AS w
LEFT JOIN balance l ON l.budget_id = b.id AND l.practice = %(practice)s AND l.subject = ''
    AND l.window_start <= clock_timestamp() AND (l.window_end IS NULL OR clock_timestamp() < l.window_end)
WHERE b.organization_id = %(organization)s AND b.ended_at IS NULL
  AND (b.agent_id IS NULL OR b.agent_id = %(agent)s)
ORDER BY b.agent_id NULLS LAST, b.id
"""

RUNNING = """
SELECT call_id, 'running', 'none', 0, usd_pico, coalesce(start->>'provider', ''), coalesce(start->>'model', ''),
       reserved_at, NULL::timestamptz, '', NULL::smallint, 0, 0, 0, 0, 0, 0
FROM reservation WHERE call_id = %(call)s AND agent_id = %(agent)s
"""

# The ending comes from seq 0, amounts from all rows, and what the call used from the row that knows it.
ENDED = """
SELECT call_id, status, basis, cost, held_pico, provider, model, reserved_at, ended_at, reason, http_status,
       input_tokens, cache_read_tokens, cache_write_tokens, cache_write_long_tokens, output_tokens, reasoning_tokens
FROM (SELECT c.call_id, c.seq, c.status, c.held_pico, c.provider, c.model, c.reserved_at, c.ended_at, c.reason,
             sum(c.cost_pico) OVER w AS cost,
             first_value(c.basis) OVER latest AS basis, first_value(c.http_status) OVER latest AS http_status,
             sum(c.input_tokens) OVER w AS input_tokens, sum(c.cache_read_tokens) OVER w AS cache_read_tokens,
             sum(c.cache_write_tokens) OVER w AS cache_write_tokens,
             sum(c.cache_write_long_tokens) OVER w AS cache_write_long_tokens,
             sum(c.output_tokens) OVER w AS output_tokens, sum(c.reasoning_tokens) OVER w AS reasoning_tokens
      FROM call c WHERE c.call_id = %(call)s AND c.agent_id = %(agent)s
      WINDOW w AS (PARTITION BY c.call_id),
             latest AS (PARTITION BY c.call_id ORDER BY (c.reason = 'settle_conflict'), c.seq DESC)) calls
WHERE seq = 0
"""


class Reader:
    """One question at a time; a lost connection is opened again."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: connections.Connection | None = None
        self._turn = asyncio.Lock()

    async def balances_of(self, organization_id: UUID, agent_id: UUID, *, practice: bool) -> list[BudgetFacts]:
        """Return the budgets that apply to an agent, its own first."""
        values = {"organization": organization_id, "agent": agent_id, "practice": practice}
        return [_facts(row) for row in await self._fetch(BALANCES_OF, values)]

    async def call_state(self, call_id: UUID, agent_id: UUID) -> CallState | None:
        """Return a call of that agent, None when it has no such call."""
        values = {"call": call_id, "agent": agent_id}
        # The book is asked last: a call that ends in between is found there.
        for query in (RUNNING, ENDED):
            for row in await self._fetch(query, values):
                return _state(row)
        return None

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()

    async def _fetch(self, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self._turn:
            for attempt in range(2):
                try:
                    return await self._try(query, values)
                except (psycopg.OperationalError, psycopg.InterfaceError, OSError, TimeoutError) as error:
                    connection, self._connection = self._connection, None
                    if connection is not None:
                        connection.pgconn.finish()
                    if attempt == 1:
                        raise LedgerAway from error
        raise LedgerAway

    async def _try(self, query: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        if self._connection is None or self._connection.closed:
            self._connection = await connections.connect(self._conninfo, purpose="reads")
        with connections.bounded(self._connection):
            cursor = await self._connection.execute(query, values)
            return await cursor.fetchall()


def _facts(row: tuple[Any, ...]) -> BudgetFacts:
    budget_id, scope, scope_name, unit, window, mode, limit, subject, spent, held, start, end = row
    return BudgetFacts(
        budget_id=budget_id,
        scope=scope,
        scope_name=scope_name,
        unit=unit,
        window=window,
        mode=mode,
        subject=subject,
        limit=limit,
        spent=spent,
        held=held,
        window_start=start,
        window_end=end,
    )


def _state(row: tuple[Any, ...]) -> CallState:
    call_id, status, basis, cost, held, provider, model, reserved_at, ended_at, reason, http_status, *tokens = row
    kinds = ("input", "cache_read", "cache_write", "cache_write_long", "output", "reasoning")
    return CallState(
        call_id=call_id,
        status=status,
        basis=basis,
        cost_pico=int(cost),
        held_pico=held,
        provider=provider,
        model=model,
        reserved_at=reserved_at,
        ended_at=ended_at,
        reason=reason,
        http_status=http_status,
        **{f"{kind}_tokens": int(count) for kind, count in zip(kinds, tokens, strict=True)},
    )
