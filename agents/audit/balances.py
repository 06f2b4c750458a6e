"""Balances against reservations and the book."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.audit.report import Check

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

_UNIT = "CASE b.unit WHEN 'usd' THEN {usd} WHEN 'tokens' THEN {tokens} ELSE {calls} END"

HELD = f"""
WITH held AS (
    SELECT balance_id, sum(usd_pico) AS usd, sum(tokens) AS tokens, count(*) AS calls
    FROM reservation, unnest(balance_ids) AS balance_id GROUP BY balance_id
)
SELECT coalesce(l.id, h.balance_id), b.scope, b.unit, b."window", l.window_start, l.held, coalesce(e.expected, 0)
FROM balance l JOIN budget b ON b.id = l.budget_id
FULL JOIN held h ON h.balance_id = l.id
CROSS JOIN LATERAL (SELECT {_UNIT.format(usd="h.usd", tokens="h.tokens", calls="h.calls")} AS expected) e
WHERE l.id IS NULL OR l.held <> coalesce(e.expected, 0)
ORDER BY 1
"""  # noqa: S608 (only our own column names)

SPENT = f"""
WITH spent AS (
    SELECT balance_id, sum(cost_pico) AS usd, sum(tokens) AS tokens, sum(counted) AS calls
    FROM call, unnest(balance_ids) AS balance_id GROUP BY balance_id
)
SELECT coalesce(l.id, s.balance_id), b.scope, b.unit, b."window", l.window_start, l.spent,
       coalesce(l.seeded, 0) + coalesce(e.expected, 0)
FROM balance l JOIN budget b ON b.id = l.budget_id
FULL JOIN spent s ON s.balance_id = l.id
CROSS JOIN LATERAL (SELECT {_UNIT.format(usd="s.usd", tokens="s.tokens", calls="s.calls")} AS expected) e
-- Balances whose window has long ended may be gone; their calls stay.
WHERE l.id IS NOT NULL AND l.spent <> l.seeded + coalesce(e.expected, 0)
ORDER BY 1
"""  # noqa: S608

# The same sums without balance_ids: by tenant and time of reserve. A call that missed its balance shows here.
WINDOWS = f"""
WITH sums AS (
    SELECT l.id, sum(c.cost_pico) AS usd, sum(c.tokens) AS tokens, sum(c.counted) AS calls
    FROM balance l JOIN budget b ON b.id = l.budget_id
    JOIN call c ON c.organization_id = b.organization_id AND (b.agent_id IS NULL OR c.agent_id = b.agent_id)
        AND c.practice = l.practice AND c.reserved_at >= l.window_start
        AND (l.window_end IS NULL OR c.reserved_at < l.window_end)
        AND c.call_id >= uuid7_floor(greatest(l.window_start - interval '1 day', to_timestamp(0)))
        AND (l.window_end IS NULL OR c.call_id < uuid7_floor(l.window_end + interval '1 day'))
    WHERE b.scope IN ('organization', 'agent') AND l.seeded = 0
    GROUP BY l.id
)
SELECT l.id, b.scope, b.unit, b."window", l.window_start, l.spent, coalesce(e.expected, 0)
FROM balance l JOIN budget b ON b.id = l.budget_id LEFT JOIN sums s ON s.id = l.id
CROSS JOIN LATERAL (SELECT {_UNIT.format(usd="s.usd", tokens="s.tokens", calls="s.calls")} AS expected) e
WHERE b.scope IN ('organization', 'agent') AND l.seeded = 0 AND l.spent <> coalesce(e.expected, 0)
ORDER BY 1
"""  # noqa: S608

PRACTICE = """
SELECT call_id FROM call c WHERE EXISTS
    (SELECT 1 FROM balance l WHERE l.id = ANY (c.balance_ids) AND l.practice <> c.practice)
UNION ALL
SELECT call_id FROM reservation r WHERE EXISTS
    (SELECT 1 FROM balance l WHERE l.id = ANY (r.balance_ids) AND l.practice <> r.practice)
"""


def checks(cursor: CursorWrapper) -> list[Check]:
    """Return what can be said about balances."""
    cursor.execute("SELECT count(*) FROM balance")
    count = cursor.fetchone()[0]
    found = [
        _compare(cursor, "held", "held is the sum of open reservations, on every balance", HELD),
        _compare(cursor, "spent", "spent is the sum of its calls and corrections, on every balance", SPENT),
        _compare(cursor, "windows", "spent is the sum of the tenant's calls of the window", WINDOWS),
    ]
    cursor.execute(PRACTICE)
    strays = [f"call {row[0]} counts against the wrong kind of balance" for row in cursor.fetchall()]
    found.append(Check("practice", "practice calls stand outside every real balance", 0, strays))
    for check in found:
        check.examined_count = count
    return found


def _compare(cursor: CursorWrapper, name: str, claim: str, query: str) -> Check:
    cursor.execute(query)
    return Check(name, claim, 0, [_difference(name, row) for row in cursor.fetchall()])


def _difference(name: str, row: tuple[Any, ...]) -> str:
    balance, scope, unit, window, start, actual, expected = row
    if scope is None:
        return f"balance {balance} does not exist, though {expected} is held on it"
    word = "held" if name == "held" else "spent"
    return (
        f"balance {balance} ({scope}, {unit} per {window}, from {start:%Y-%m-%d %H:%M}Z): "
        f"{word} is {actual}, should be {int(expected)}, difference {int(actual - expected):+d}"
    )
