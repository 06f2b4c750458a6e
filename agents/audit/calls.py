"""The book against itself: every call ends once, and no row contradicts its status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.audit.report import DIFFERENCES_KEPT_MAX, Check

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from django.db.backends.utils import CursorWrapper

ENDINGS = f"""
SELECT call_id, organization_id, status || ' at ' || cost_pico || ' pico-dollars, ceiling ' || held_pico
FROM ({{rows}}) c
WHERE NOT CASE status
    WHEN 'settled' THEN cost_pico >= 0 AND counted = 1 AND seq = 0
    WHEN 'voided' THEN cost_pico = 0 AND counted = 0 AND tokens = 0 AND seq = 0
    WHEN 'expired' THEN cost_pico = held_pico AND counted = 1 AND seq = 0
    WHEN 'refused' THEN cost_pico = 0 AND counted = 0 AND cardinality(balance_ids) = 0 AND seq = 0
    WHEN 'cached' THEN cost_pico = 0 AND counted = 0 AND cardinality(balance_ids) = 0 AND held_pico = 0 AND tokens = 0
                       AND seq = 0
    WHEN 'corrected' THEN seq > 0
    ELSE false END
LIMIT {DIFFERENCES_KEPT_MAX}
"""  # noqa: S608 (only our own names)
# The key of the book lets no ending in twice, so only calls with further rows can be incomplete.
CORRECTED = "SELECT DISTINCT call_id FROM ({rows}) c WHERE seq > 0 ORDER BY 1"
WHOLE = """
SELECT call_id, (array_agg(organization_id))[1], min(seq), max(seq), count(*), sum(cost_pico) FROM call
WHERE call_id = ANY (%s) AND call_id BETWEEN %s AND %s GROUP BY call_id
"""
OPEN = "SELECT call_id FROM reservation ORDER BY 1"
ENDED = "SELECT call_id, organization_id FROM call WHERE call_id = ANY (%s) AND call_id BETWEEN %s AND %s AND seq = 0"
RUNNING = "SELECT count(*), coalesce(sum(usd_pico), 0) FROM reservation"


def row_checks(cursor: CursorWrapper, rows: str) -> list[Check]:
    """Return what can be said about some rows of the book."""
    endings = Check("endings", "each ending charges what its status says")
    cursor.execute(ENDINGS.replace("{rows}", rows))
    for call_id, organization_id, what in cursor.fetchall():
        endings.add(f"call {call_id} {what}", organization_id)
    ends_once = Check("ends_once", "every call id ends exactly once")
    corrections = Check("corrections", "a call with its corrections never costs less than nothing")
    cursor.execute(CORRECTED.replace("{rows}", rows))
    for call_id, organization_id, first, last, count, cost_pico in _of_ids(cursor, WHOLE, cursor.fetchall()):
        if first != 0:
            ends_once.add(f"call {call_id} has corrections but no ending", organization_id)
        elif last != count - 1:
            ends_once.add(f"call {call_id} misses a correction", organization_id)
        if cost_pico < 0:
            corrections.add(f"call {call_id} sums up to {cost_pico}", organization_id)
    return [ends_once, endings, corrections]


def check_running(cursor: CursorWrapper, ends_once: Check) -> None:
    """No call is running and in the book at once."""
    cursor.execute(OPEN)
    for call_id, organization_id in _of_ids(cursor, ENDED, cursor.fetchall()):
        ends_once.add(f"call {call_id} is open and ended at once", organization_id)


def running(cursor: CursorWrapper) -> tuple[int, int]:
    """Return how many calls run and what they hold, in pico-dollars."""
    cursor.execute(RUNNING)
    count, held_pico = cursor.fetchone()
    return int(count), int(held_pico)


def _of_ids(cursor: CursorWrapper, query: str, rows: Sequence[tuple[UUID]]) -> list[tuple[Any, ...]]:
    """Look calls up by sorted ids: listed, so that PostgreSQL goes to their days and reads nothing else."""
    if not rows:
        return []
    ids = [call_id for (call_id,) in rows]
    cursor.execute(query, [ids, ids[0], ids[-1]])
    return list(cursor.fetchall())
