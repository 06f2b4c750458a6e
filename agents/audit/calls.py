"""The book against itself: every call ends once, and no row contradicts its status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.audit.report import Check

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

QUERIES = {
    "ends_once": (
        "every call id ends exactly once",
        """
        SELECT call_id, 'has corrections but no ending' FROM call GROUP BY call_id HAVING min(seq) <> 0
        UNION ALL
        SELECT call_id, 'misses a correction' FROM call GROUP BY call_id HAVING max(seq) <> count(*) - 1
        UNION ALL
        SELECT r.call_id, 'is open and ended at once' FROM reservation r JOIN call c USING (call_id) WHERE c.seq = 0
        """,
    ),
    "endings": (
        "each ending charges what its status says",
        """
        SELECT call_id, status || ' at ' || cost_pico || ' pico-dollars, ceiling ' || held_pico FROM call
        WHERE CASE status
            WHEN 'settled' THEN cost_pico < 0 OR counted <> 1 OR seq <> 0
            WHEN 'voided' THEN cost_pico <> 0 OR counted <> 0 OR tokens <> 0 OR seq <> 0
            WHEN 'expired' THEN cost_pico <> held_pico OR counted <> 1 OR seq <> 0
            WHEN 'refused' THEN cost_pico <> 0 OR counted <> 0 OR cardinality(balance_ids) > 0 OR seq <> 0
            WHEN 'cached' THEN cost_pico <> 0 OR counted <> 0 OR cardinality(balance_ids) > 0 OR held_pico <> 0
                OR tokens <> 0 OR seq <> 0
            ELSE seq = 0 END
        """,
    ),
    "corrections": (
        "a call with its corrections never costs less than nothing",
        "SELECT call_id, 'sums up to ' || sum(cost_pico) FROM call GROUP BY call_id HAVING sum(cost_pico) < 0",
    ),
    "metered": (
        "every admitted call counts against a balance of its organisation",
        """
        SELECT call_id, 'counts against no balance of its organisation' FROM call c
        WHERE seq = 0 AND status NOT IN ('refused', 'voided', 'cached') AND NOT EXISTS (
            SELECT 1 FROM budget b WHERE b.organization_id = c.organization_id AND b.id IN (
                SELECT l.budget_id FROM balance l WHERE l.id = ANY (c.balance_ids)))
            AND EXISTS (SELECT 1 FROM balance l WHERE l.id = ANY (c.balance_ids))
        """,
    ),
}

OVERRUN = """
SELECT coalesce(sum(cost_pico - held_pico), 0), count(*) FROM call
WHERE seq = 0 AND status = 'settled' AND cost_pico > held_pico
"""
RUNNING = "SELECT count(*), coalesce(sum(usd_pico), 0) FROM reservation"


def checks(cursor: CursorWrapper) -> list[Check]:
    """Return what can be said about the book's rows."""
    cursor.execute("SELECT count(*) FROM call")
    count = cursor.fetchone()[0]
    found = []
    for name, (claim, query) in QUERIES.items():
        cursor.execute(query)
        found.append(Check(name, claim, count, [f"call {row[0]} {row[1]}" for row in cursor.fetchall()]))
    return found


def overrun(cursor: CursorWrapper) -> tuple[int, int]:
    """Return what calls cost above their ceilings, in pico-dollars, and how many they were."""
    cursor.execute(OVERRUN)
    total, count = cursor.fetchone()
    return int(total), int(count)


def running(cursor: CursorWrapper) -> tuple[int, int]:
    """Return how many calls run and what they hold, in pico-dollars."""
    cursor.execute(RUNNING)
    count, held = cursor.fetchone()
    return int(count), int(held)
