"""Calls against the balances that they name, and against those that they should have named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.audit.report import DIFFERENCES_KEPT_MAX, Check

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from django.db.backends.utils import CursorWrapper

CLAIMS = {
    "practice": "practice calls stand outside every real balance",
    "metered": "every admitted call counts against balances of its organisation, and of no other",
    "windows": "every call counts against each budget of its organisation and agent, in the window it was reserved in",
}
_FAULTS = {
    "practice": "which is for the other kind of keys",
    "metered": "which is another's",
    "windows": "whose window it was not reserved in",
    "missed": "which was open for it",
}

# Calls of one agent share their balances: what holds for all of a kind is asked once.
KINDS = f"""
WITH kind AS MATERIALIZED (
    SELECT organization_id, agent_id, practice, balance_ids, min(reserved_at) AS first_at, max(reserved_at) AS last_at,
           min(call_id::text) AS example, count(*) AS call_count
    FROM ({{rows}}) c WHERE seq = 0 AND status IN ('settled', 'expired') GROUP BY 1, 2, 3, 4
), named AS (
    SELECT k.example, k.organization_id, l.id, k.call_count,
           CASE WHEN l.practice <> k.practice THEN 'practice'
                WHEN b.organization_id <> k.organization_id OR b.agent_id <> k.agent_id THEN 'metered'
                WHEN k.first_at < l.window_start OR k.last_at >= l.window_end THEN 'windows' END AS fault
    FROM kind k JOIN balance l ON l.id = ANY (k.balance_ids) JOIN budget b ON b.id = l.budget_id
), open AS MATERIALIZED (
    SELECT l.id, l.practice AS is_practice, b.organization_id, b.agent_id,
           greatest(l.window_start, l.opened_at) AS from_at,
           -- The end of a budget is dated by another machine's clock.
           least(l.window_end, b.ended_at - interval '5 minutes') AS to_at
    FROM balance l JOIN budget b ON b.id = l.budget_id
    WHERE b.scope IN ('organization', 'agent') AND l.subject = ''
      AND l.window_start <= (SELECT max(last_at) FROM kind)
      AND (l.window_end IS NULL OR l.window_end > (SELECT min(first_at) FROM kind))
), due AS (
    SELECT k.*, o.id, o.is_practice, o.from_at, o.to_at FROM kind k JOIN open o ON o.agent_id = k.agent_id
    UNION ALL
    SELECT k.*, o.id, o.is_practice, o.from_at, o.to_at FROM kind k JOIN open o ON o.organization_id = k.organization_id
    WHERE o.agent_id IS NULL
), missed AS (
    SELECT min(c.call_id::text) AS example, m.organization_id, m.id, count(*) AS call_count, 'missed' AS fault
    FROM due m
    JOIN ({{rows}}) c ON c.organization_id = m.organization_id AND c.agent_id = m.agent_id AND c.practice = m.practice
        AND c.balance_ids = m.balance_ids AND c.seq = 0 AND c.status IN ('settled', 'expired')
        AND c.reserved_at >= m.from_at AND (m.to_at IS NULL OR c.reserved_at < m.to_at)
    WHERE m.is_practice = m.practice AND m.id <> ALL (m.balance_ids)
      AND m.from_at <= m.last_at AND (m.to_at IS NULL OR m.first_at < m.to_at)
    GROUP BY m.organization_id, m.agent_id, m.id
)
SELECT * FROM named WHERE fault IS NOT NULL
UNION ALL SELECT * FROM missed
UNION ALL SELECT example, organization_id, NULL, call_count, 'metered' FROM kind WHERE cardinality(balance_ids) = 0
LIMIT {DIFFERENCES_KEPT_MAX}
"""  # noqa: S608 (only our own names)

# What is remembered of calls, against their balances as they are now.
REMEMBERED = """
SELECT a.balance_id, a.day, a.organization_id, f.fault
FROM audited_balance a JOIN balance l ON l.id = a.balance_id JOIN budget b ON b.id = l.budget_id
CROSS JOIN LATERAL (SELECT CASE WHEN a.practice <> l.practice THEN 'practice'
    WHEN a.organization_id <> b.organization_id THEN 'metered'
    WHEN a.first_reserved_at < l.window_start OR a.last_reserved_at >= l.window_end THEN 'windows' END AS fault) f
WHERE f.fault IS NOT NULL AND NOT a.day = ANY (%s::date[]) ORDER BY 1, 2
"""
HELD = """
SELECT r.call_id, r.organization_id, l.id FROM reservation r JOIN balance l ON l.id = ANY (r.balance_ids)
WHERE l.practice <> r.practice
"""


def row_checks(cursor: CursorWrapper, rows: str) -> list[Check]:
    """Return what can be said about the balances that some rows of the book name."""
    found = {name: Check(name, claim) for name, claim in CLAIMS.items()}
    cursor.execute(KINDS.replace("{rows}", rows))
    for example, organization_id, balance_id, call_count, fault in cursor.fetchall():
        others = f", and so do {call_count - 1} others" if call_count > 1 else ""
        check = found["windows" if fault == "missed" else fault]
        if balance_id is None:
            check.add(f"call {example} counts against no balance{others}", organization_id)
        else:
            verb = "does not count" if fault == "missed" else "counts"
            check.add(f"call {example} {verb} against balance {balance_id}, {_FAULTS[fault]}{others}", organization_id)
    return list(found.values())


def check_now(cursor: CursorWrapper, found: dict[str, Check], unremembered: Sequence[date]) -> None:
    """What is remembered and what is running, against balances as they are now.

    found: the checks of row_checks by name. unremembered: days whose rows are read instead.
    """
    cursor.execute(REMEMBERED, [list(unremembered)])
    for balance_id, day, organization_id, fault in cursor.fetchall():
        found[fault].add(f"calls of {day} count against balance {balance_id}, {_FAULTS[fault]}", organization_id)
    cursor.execute(HELD)
    for call_id, organization_id, balance_id in cursor.fetchall():
        found["practice"].add(f"call {call_id} holds on balance {balance_id}, {_FAULTS['practice']}", organization_id)
