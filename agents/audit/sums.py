"""Rollups against the book, for hours and days that nothing has touched since they were summed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.audit.report import Check

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

# Rows are dated a moment before they are seen: the rollup reads two minutes twice, the audit leaves them out.
MARK = "SELECT until_at - interval '2 minutes' FROM mark WHERE name = 'sums'"

HOURS = """
WITH sums AS (
    SELECT organization_id, agent_id, provider, model, hour, sum(cost_pico) AS cost,
           count(*) FILTER (WHERE seq = 0 AND status <> 'refused') AS calls,
           coalesce(sum(repeat_count) FILTER (WHERE status = 'refused'), 0) AS refused
    FROM (SELECT c.*, date_trunc('hour', reserved_at, 'UTC') AS hour,
                 max(ended_at) OVER (PARTITION BY organization_id, date_trunc('hour', reserved_at, 'UTC')) AS touched_at
          FROM call c WHERE NOT practice) c
    WHERE touched_at < %(mark)s GROUP BY 1, 2, 3, 4, 5
)
SELECT s.hour, s.agent_id, s.model, s.cost, coalesce(u.cost_pico, 0), s.calls, coalesce(u.call_count, 0), s.refused,
       coalesce(u.refused_count, 0)
FROM sums s
LEFT JOIN hourly_usage u ON u.organization_id = s.organization_id AND u.agent_id = s.agent_id
    AND u.provider = s.provider AND u.model = s.model AND u.hour = s.hour
"""

DAYS = """
WITH days AS (
    SELECT DISTINCT organization_id, day, time_zone, day::timestamp AT TIME ZONE time_zone AS start_at,
           (day + 1)::timestamp AT TIME ZONE time_zone AS end_at
    FROM daily_usage WHERE time_zone <> ''
), book AS (
    SELECT d.organization_id, d.day, c.agent_id, c.provider, c.model, sum(c.cost_pico) AS cost,
           count(*) FILTER (WHERE c.seq = 0 AND c.status <> 'refused') AS calls,
           coalesce(sum(c.repeat_count) FILTER (WHERE c.status = 'refused'), 0) AS refused,
           max(max(c.ended_at)) OVER (PARTITION BY d.organization_id, d.day) AS touched_at
    FROM days d
    JOIN call c ON c.organization_id = d.organization_id AND NOT c.practice AND c.reserved_at >= d.start_at
        AND c.reserved_at < d.end_at AND c.call_id >= uuid7_floor(d.start_at - interval '1 day')
        AND c.call_id < uuid7_floor(d.end_at + interval '1 day')
    GROUP BY 1, 2, 3, 4, 5
)
SELECT b.day, b.agent_id, b.model, b.cost, coalesce(u.cost_pico, 0), b.calls, coalesce(u.call_count, 0), b.refused,
       coalesce(u.refused_count, 0)
FROM book b
LEFT JOIN daily_usage u ON u.organization_id = b.organization_id AND u.agent_id = b.agent_id
    AND u.provider = b.provider AND u.model = b.model AND u.day = b.day
WHERE b.touched_at < %(mark)s
"""


def checks(cursor: CursorWrapper) -> list[Check]:
    """Return what can be said about sums; nothing before the first rollup."""
    cursor.execute(MARK)
    mark = cursor.fetchone()
    found = []
    for name, claim, query in (
        ("hours", "hourly usage is the sum of its calls", HOURS),
        ("days", "daily usage is the sum of its calls", DAYS),
    ):
        check = Check(name, claim)
        found.append(check)
        if mark is None:
            continue
        cursor.execute(query, {"mark": mark[0]})
        for when, agent, model, *sums in cursor.fetchall():
            check.examined_count += 1
            for word, book, rolled in zip(("cost", "calls", "refusals"), sums[::2], sums[1::2], strict=True):
                if book != rolled:
                    check.breaches.append(f"{when:%Y-%m-%d %H:%M} agent {agent}, {model}: {word} {rolled}, book {book}")
    return found
