"""Balances against their limits: what was admitted never passed the highest limit that was in force."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.audit.report import Check
from agents.audit.totals import BALANCES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from django.db.backends.utils import CursorWrapper

# Above a limit there may be what nobody admitted: overruns, usage from outside, and what there was before the budget.
# Tokens are left out (the book does not say how many were held), as are rolling hours (their past has left them).
# Limits are edited and budgets may have had none or been soft for a while: the log of changes says so.
PASSED = f"""
WITH beside AS (
    SELECT balance_id, sum(overrun_pico) AS usd, sum(overrun_calls) AS calls, min(first_reserved_at) AS first_at
    FROM (SELECT balance_id, overrun_pico, overrun_calls, first_reserved_at FROM audited_balance
          WHERE NOT day = ANY (%s::date[])
          UNION ALL SELECT balance_id, overrun_pico, overrun_calls, first_reserved_at FROM ({BALANCES}) read) parts
    GROUP BY balance_id
), change AS (
    SELECT organization_id, details->>'budget_id' AS budget, at,
           CASE WHEN details->>'from' ~ '^[0-9]+$' THEN (details->>'from')::numeric END AS before,
           CASE WHEN details->>'to' ~ '^[0-9]+$' THEN (details->>'to')::numeric END AS after
    FROM audit_entry WHERE action IN ('budget.limit_set', 'budget.changed')
)
SELECT l.id, b.organization_id, b.scope, b.unit, b."window", l.window_start, a.amount, h.highest + l.extra
FROM balance l
JOIN budget b ON b.id = l.budget_id
LEFT JOIN beside o ON o.balance_id = l.id
CROSS JOIN LATERAL (SELECT l.spent::numeric + l.held
    - coalesce(CASE b.unit WHEN 'usd' THEN o.usd WHEN 'calls' THEN o.calls ELSE 0 END, 0) AS amount) a
CROSS JOIN LATERAL (
    SELECT greatest(b."limit", max(greatest(c.before, c.after))) AS highest,
           coalesce(bool_or(c.before IS NULL OR c.after IS NULL), false) AS was_open
    -- Entries are dated by another machine's clock.
    FROM change c WHERE c.organization_id = b.organization_id AND c.budget = b.id::text
        AND c.at >= l.window_start - interval '1 hour') h
WHERE b.mode = 'hard' AND b.unit <> 'tokens' AND b."window" <> 'rolling_24h'
  AND l.spent::numeric + l.held > b."limit"::numeric + l.extra
  AND l.seeded = 0 AND coalesce(o.first_at, 'infinity') >= l.opened_at
  AND NOT EXISTS (SELECT 1 FROM reservation r WHERE l.id = ANY (r.balance_ids) AND r.reserved_at < l.opened_at)
  AND NOT h.was_open AND a.amount > h.highest + l.extra
ORDER BY 1
"""  # noqa: S608 (only our own names)


def check(cursor: CursorWrapper, rows: str, unremembered: Sequence[date]) -> Check:
    """Look at every balance that has spent and holds more than its limit is now.

    rows: a query for what must be read of the book; unremembered: days that are in it whole.
    """
    found = Check("limits", "what calls were admitted for never passed the limit")
    cursor.execute('SELECT count(*) FROM balance l JOIN budget b ON b.id = l.budget_id WHERE b."limit" IS NOT NULL')
    found.examined_count = cursor.fetchone()[0]
    cursor.execute(PASSED.replace("{rows}", rows), [list(unremembered)])
    for balance_id, organization_id, scope, unit, window, start, amount, limit in cursor.fetchall():
        found.add(
            f"balance {balance_id} ({scope}, {unit} per {window}, from {start:%Y-%m-%d %H:%M}Z): "
            f"{amount} was admitted, the limit was {limit} at most, difference {int(amount - limit):+d}",
            organization_id,
            f"balance {balance_id} {int(amount - limit):+d}",
        )
    return found
