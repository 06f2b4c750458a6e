"""Questions that callers ask about their budgets and calls; on a connection of their own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg

from agents.ledger import connection as connections
from agents.ledger.errors import LedgerAway
from agents.ledger.stored import StoredAnswer
from agents.ledger.terms import BudgetFacts, CallState, SessionFacts
from agents.ledger.wire import to_json
from agents.pricing.kept import TOKEN_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from agents.ledger.wire import Row

WINDOWS_MAX = 5

# A budget whose window has no balance yet has spent nothing; its window is computed.
BALANCES_OF = """
SELECT b.id, b.scope, b.scope_name, b.unit, b."window", b.mode,
       CASE WHEN b."limit" IS NOT NULL
            THEN least(b."limit"::numeric + coalesce(l.extra, 0), 9223372036854775807)::bigint END, n.subject,
       CASE WHEN b."window" = 'rolling_24h' THEN coalesce(r.spent, 0) ELSE coalesce(l.spent, 0) END,
       coalesce(l.held, 0), coalesce(l.window_start, w.window_start),
       CASE WHEN b."window" = 'rolling_24h' THEN r.room_at WHEN l.id IS NULL THEN w.window_end ELSE l.window_end END
FROM unnest(%(budgets)s::bigint[], %(subjects)s::text[]) WITH ORDINALITY AS n(budget, subject, place)
JOIN budget b ON b.id = n.budget AND b.ended_at IS NULL
JOIN organization o ON o.id = b.organization_id
CROSS JOIN LATERAL ledger_window(b."window", o.time_zone, ledger_clock()) AS w
LEFT JOIN balance l ON l.budget_id = b.id AND l.practice = %(practice)s AND l.subject = n.subject
    AND l.window_start <= ledger_clock() AND (l.window_end IS NULL OR ledger_clock() < l.window_end)
LEFT JOIN LATERAL ledger_rolling(l.id, ledger_clock()) AS r ON b."window" = 'rolling_24h'
ORDER BY b.agent_id NULLS LAST, n.place
"""

# One session of an agent, as the book and the open reservations have it.
SESSION = """
SELECT count(*) FILTER (WHERE seq = 0 AND status IN ('settled', 'expired', 'voided', 'cached')),
       coalesce(sum(repeat_count) FILTER (WHERE status = 'refused'), 0), coalesce(sum(c.tokens), 0),
       coalesce(sum(cost_pico), 0), min(c.reserved_at), max(c.ended_at),
       (SELECT count(*) FROM reservation r WHERE r.organization_id = %(organization)s AND r.agent_id = %(agent)s
        AND r.practice = %(practice)s AND r.start->>'session' = %(session)s),
       (SELECT min(r.reserved_at) FROM reservation r WHERE r.organization_id = %(organization)s
        AND r.agent_id = %(agent)s AND r.practice = %(practice)s AND r.start->>'session' = %(session)s)
FROM call c
WHERE c.organization_id = %(organization)s AND c.session = %(session)s AND c.session <> ''
  AND c.agent_id = %(agent)s AND c.practice = %(practice)s
"""

RESET_SESSION = "SELECT ledger_reset_session(%(agent)s, %(session)s, %(practice)s)"
OPEN_ALL = """
SELECT balance_id FROM ledger_open_balances(%(budgets)s::bigint[], %(subjects)s::text[], %(practice)s::boolean[])
"""
RECORD_USAGE = """
SELECT ledger_record_usage(%(row)s::jsonb, %(balances)s::bigint[], %(organization_version)s, %(agent_version)s)
"""

IS_CURRENT = """
SELECT ledger_is_current(ledger_clock(), ARRAY[%(organization)s]::uuid[], ARRAY[%(agent)s]::uuid[],
                         ARRAY[%(organization_version)s]::bigint[], ARRAY[%(agent_version)s]::bigint[],
                         ARRAY[%(call)s]::uuid[])
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

STORED = """
SELECT response_id, provider, model, input_tokens, output_tokens FROM stored_response
WHERE agent_id = %(agent)s AND practice = %(practice)s AND response_id = ANY(%(responses)s)
  AND organization_id = %(organization)s AND expires_at > ledger_clock()
"""
FORGET = """
DELETE FROM stored_response
WHERE agent_id = %(agent)s AND practice = %(practice)s AND response_id = %(response)s RETURNING id
"""


class Reader:
    """One question at a time; a lost connection is opened again."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._connection: connections.Connection | None = None
        self._turn = asyncio.Lock()

    async def balances_of(self, budgets: Sequence[tuple[int, str]], *, practice: bool) -> list[BudgetFacts]:
        """Return how budgets stand for their subjects, an agent's own first.

        budgets: pairs of budget id and subject.
        """
        values = {
            "budgets": [budget for budget, _ in budgets],
            "subjects": [subject for _, subject in budgets],
            "practice": practice,
        }
        return [_facts(row) for row in await self._fetch(BALANCES_OF, values)]

    async def session(
        self, organization_id: UUID, agent_id: UUID, session: str, *, practice: bool
    ) -> SessionFacts | None:
        """Return what one session of an agent did; None when it never called."""
        values = {"organization": organization_id, "agent": agent_id, "session": session, "practice": practice}
        [(calls, refused, tokens, cost, first_at, last_at, running, runs_since_at)] = await self._fetch(SESSION, values)
        if first_at is None and runs_since_at is None:
            return None
        return SessionFacts(
            call_count=calls, refused_count=int(refused), running_count=running, tokens=int(tokens),
            cost_pico=int(cost), first_at=min(filter(None, (first_at, runs_since_at))), last_at=last_at,
        )  # fmt: skip

    async def reset_session(self, agent_id: UUID, session: str, *, practice: bool) -> int:
        """End the balances of an agent's session, so that it begins anew; returns how many ended."""
        values = {"agent": agent_id, "session": session, "practice": practice}
        [(count,)] = await self._fetch(RESET_SESSION, values)
        return int(count)

    async def record_usage(
        self, row: Row, budgets: Sequence[tuple[int, str]], versions: tuple[int, int], *, practice: bool
    ) -> str:
        """Book a call that was made elsewhere on these budgets; returns what ledger_record_usage says, or too_many.

        versions: of the policy that names the budgets, the organisation's first, then the agent's.
        """
        names = sorted(set(budgets))
        values = {
            "budgets": [budget for budget, _ in names],
            "subjects": [subject for _, subject in names],
            "practice": [practice] * len(names),
        }
        for _ in range(WINDOWS_MAX):
            balances = [balance for (balance,) in await self._fetch(OPEN_ALL, values)]
            if None in balances:
                return "too_many"
            [(outcome,)] = await self._fetch(
                RECORD_USAGE,
                {
                    "row": to_json(row), "balances": sorted(balances),
                    "organization_version": versions[0], "agent_version": versions[1],
                },
            )  # fmt: skip
            if outcome != "window_over":
                return str(outcome)
        raise LedgerAway

    async def is_current(self, call_id: UUID, of: tuple[UUID, UUID], versions: tuple[int, int]) -> bool:
        """Return whether a snapshot may still be acted by. of, versions: organisation first, then agent."""
        values = {
            "call": call_id, "organization": of[0], "agent": of[1], "organization_version": versions[0],
            "agent_version": versions[1],
        }  # fmt: skip
        return bool((await self._fetch(IS_CURRENT, values))[0][0])

    async def call_state(self, call_id: UUID, agent_id: UUID) -> CallState | None:
        """Return a call of that agent, None when it has no such call."""
        values = {"call": call_id, "agent": agent_id}
        # The book is asked last: a call that ends in between is found there.
        for query in (RUNNING, ENDED):
            for row in await self._fetch(query, values):
                return _state(row)
        return None

    async def stored_answers(
        self, response_ids: Sequence[str], organization_id: UUID, agent_id: UUID, *, practice: bool
    ) -> dict[str, StoredAnswer]:
        """Return those of the answers that a provider keeps which this agent made, by their ids."""
        ids = list(response_ids)
        names = {"organization": organization_id, "agent": agent_id, "practice": practice, "responses": ids}
        return {
            response_id: StoredAnswer(
                organization_id=organization_id, agent_id=agent_id, practice=practice, response_id=response_id,
                provider=provider, model=model, input_tokens=read, output_tokens=written,
            )
            for response_id, provider, model, read, written in await self._fetch(STORED, names)
        }  # fmt: skip

    async def forget_answer(self, answer: StoredAnswer) -> None:
        """Forget an answer that its provider keeps no more."""
        names = {"agent": answer.agent_id, "practice": answer.practice, "response": answer.response_id}
        await self._fetch(FORGET, names)

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
        **{f"{kind}_tokens": int(count) for kind, count in zip(TOKEN_COLUMNS, tokens, strict=True)},
    )
