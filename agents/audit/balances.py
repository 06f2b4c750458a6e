"""Balances against reservations and the book."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.audit.report import Check
from agents.audit.totals import BALANCES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from django.db.backends.utils import CursorWrapper

HELD = """
WITH held AS (
    SELECT balance_id, (array_agg(organization_id))[1] AS organization_id, sum(usd_pico) AS usd, sum(tokens) AS tokens,
           count(*) AS calls
    FROM reservation, unnest(balance_ids) AS balance_id GROUP BY balance_id
)
SELECT coalesce(l.id, h.balance_id), coalesce(b.organization_id, h.organization_id), b.scope, b.unit, b."window",
       l.window_start, l.held, coalesce(e.expected, 0)
FROM balance l JOIN budget b ON b.id = l.budget_id
FULL JOIN held h ON h.balance_id = l.id
CROSS JOIN LATERAL (
    SELECT CASE b.unit WHEN 'usd' THEN h.usd WHEN 'tokens' THEN h.tokens ELSE h.calls END AS expected) e
WHERE l.id IS NULL OR l.held <> coalesce(e.expected, 0)
ORDER BY 1
"""

# Days that are not as they were remembered are among the rows. A balance that was purged may be gone; its calls stay.
SPENT = f"""
WITH spent AS (
    SELECT balance_id, sum(usd_pico) AS usd, sum(tokens) AS tokens, sum(calls) AS calls
    FROM (SELECT balance_id, usd_pico, tokens, calls FROM audited_balance WHERE NOT day = ANY (%s::date[])
          UNION ALL SELECT balance_id, usd_pico, tokens, calls FROM ({BALANCES}) read) parts
    GROUP BY balance_id
)
SELECT l.id, b.organization_id, b.scope, b.unit, b."window", l.window_start, l.spent, l.seeded + coalesce(e.expected, 0)
FROM balance l JOIN budget b ON b.id = l.budget_id
LEFT JOIN spent s ON s.balance_id = l.id
CROSS JOIN LATERAL (SELECT CASE b.unit WHEN 'usd' THEN s.usd WHEN 'tokens' THEN s.tokens WHEN 'calls' THEN s.calls
                                       ELSE 0 END AS expected) e
WHERE l.spent <> l.seeded + coalesce(e.expected, 0)
ORDER BY 1
"""  # noqa: S608 (only our own column names)

# Hours that began after the anchor was opened hold what its calls were charged. Those before hold what it was seeded
# with as well: together all hours are what it spent, as long as none has been purged (after 40 days).
BUCKETS = """
WITH anchor AS (
    SELECT l.*, b.unit, b.scope, b."window", b.organization_id, date_trunc('hour', l.opened_at, 'UTC') AS opened_hour
    FROM balance l JOIN budget b ON b.id = l.budget_id WHERE b."window" = 'rolling_24h'
), booked AS (
    SELECT a.id AS balance_id, date_trunc('hour', c.reserved_at, 'UTC') AS hour,
           sum(ledger_amount(a.unit, c.cost_pico, c.tokens, c.counted)) AS amount
    FROM call c CROSS JOIN unnest(c.balance_ids) AS x(id) JOIN anchor a ON a.id = x.id
    WHERE c.reserved_at >= %(since)s AND c.call_id >= uuid7_floor(%(since)s - interval '1 day')
      AND EXISTS (SELECT 1 FROM anchor)
    GROUP BY 1, 2
)
SELECT a.id, a.organization_id, a.scope, a.unit, a."window", hour, coalesce(k.spent, 0), coalesce(s.amount, 0)
FROM booked s
FULL JOIN (SELECT balance_id, bucket_start AS hour, spent FROM balance_bucket
           WHERE bucket_start >= %(since)s) k USING (balance_id, hour)
JOIN anchor a ON a.id = balance_id
WHERE hour > a.opened_hour AND coalesce(k.spent, 0) <> coalesce(s.amount, 0)
UNION ALL
SELECT a.id, a.organization_id, a.scope, a.unit, a."window", a.opened_hour, coalesce(k.spent, 0), a.spent
FROM anchor a LEFT JOIN LATERAL (SELECT sum(spent) AS spent FROM balance_bucket WHERE balance_id = a.id) k ON true
WHERE a.opened_at > %(since)s - interval '35 days' AND coalesce(k.spent, 0) <> a.spent
ORDER BY 1, 6
"""
SINCE = "SELECT date_trunc('hour', ledger_clock(), 'UTC') - interval '25 hours'"


def checks(cursor: CursorWrapper, rows: str, unremembered: Sequence[date]) -> list[Check]:
    """Return what can be said about balances.

    rows: a query for what must be read of the book; unremembered: days that are in it whole.
    """
    cursor.execute("SELECT count(*) FROM balance")
    count = cursor.fetchone()[0]
    held = Check("held", "held is the sum of open reservations, on every balance", count)
    cursor.execute(HELD)
    _note(held, cursor.fetchall())
    spent = Check("spent", "spent is the sum of its calls and corrections, on every balance", count)
    cursor.execute(SPENT.replace("{rows}", rows), [list(unremembered)])
    _note(spent, cursor.fetchall())
    return [held, spent, _buckets(cursor)]


def _buckets(cursor: CursorWrapper) -> Check:
    check = Check("buckets", "the hours of rolling budgets are the sums of their calls")
    cursor.execute(SINCE)
    since = cursor.fetchone()[0]
    cursor.execute("SELECT count(*) FROM balance_bucket WHERE bucket_start >= %s", [since])
    check.examined_count = cursor.fetchone()[0]
    cursor.execute(BUCKETS, {"since": since})
    _note(check, cursor.fetchall())
    return check


def _note(check: Check, rows: list[tuple[Any, ...]]) -> None:
    for balance_id, organization_id, scope, unit, window, start, actual, expected in rows:
        if scope is None:
            check.add(f"balance {balance_id} does not exist, though {expected} is held on it", organization_id)
            continue
        difference = f"{int(actual - expected):+d}"
        sentence = (
            f"balance {balance_id} ({scope}, {unit} per {window}, from {start:%Y-%m-%d %H:%M}Z): "
            f"{'held' if check.name == 'held' else 'spent'} is {actual}, should be {int(expected)}, "
            f"difference {difference}"
        )
        # While calls go on, both amounts move and the difference stays.
        check.add(sentence, organization_id, f"balance {balance_id} {difference}")
