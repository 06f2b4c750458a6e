"""The sums that pages show, as checksums: of all hours, and of days without their whole hours. One reading for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.audit.totals import CHECKSUM

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from django.db.backends.utils import CursorWrapper

# A day of a zone whose midnight cuts an hour of UTC (India, Nepal) has parts before first_at and from last_at on.
QUERY = f"""
WITH hours AS MATERIALIZED (
    SELECT organization_id, hour, {CHECKSUM} AS checksum FROM hourly_usage GROUP BY organization_id, hour
), days AS (
    SELECT *, date_trunc('hour', start_at + interval '59 minutes 59.999999 seconds', 'UTC') AS first_at,
           date_trunc('hour', end_at, 'UTC') AS last_at
    FROM (SELECT organization_id, day, {CHECKSUM} AS checksum, day::timestamp AT TIME ZONE max(time_zone) AS start_at,
                 (day + 1)::timestamp AT TIME ZONE max(time_zone) AS end_at
          FROM daily_usage WHERE time_zone <> '' GROUP BY organization_id, day) d
), whole AS (
    SELECT d.organization_id, d.day, sum(h.checksum) AS checksum FROM days d
    JOIN hours h ON h.organization_id = d.organization_id AND h.hour >= d.first_at AND h.hour < d.last_at GROUP BY 1, 2
)
SELECT NULL AS organization_id, NULL AS day, sum(checksum) AS checksum, hour AS start_at, NULL AS first_at,
       NULL AS last_at, NULL AS end_at
FROM hours GROUP BY hour
UNION ALL
SELECT organization_id, day, d.checksum - coalesce(w.checksum, 0), start_at, first_at, last_at, end_at
FROM days d LEFT JOIN whole w USING (organization_id, day)
ORDER BY start_at, organization_id
"""  # noqa: S608 (only our own names)


@dataclass(frozen=True, slots=True)
class RolledDay:
    """A day of an organisation: what is left of its checksum without its whole hours."""

    organization_id: UUID
    day: date
    left: int
    start_at: datetime
    first_at: datetime
    last_at: datetime
    end_at: datetime

    @property
    def cut(self) -> list[tuple[datetime, datetime]]:
        """The parts of hours at its ends."""
        edges = ((self.start_at, self.first_at), (self.last_at, self.end_at))
        return [(start_at, end_at) for start_at, end_at in edges if start_at < end_at]


def read(cursor: CursorWrapper) -> tuple[dict[datetime, int], list[RolledDay]]:
    """Return the checksum of each hour over all organisations, and every day."""
    hours, days = {}, []
    cursor.execute(QUERY)
    for organization_id, day, checksum, start_at, *bounds in cursor.fetchall():
        # A decimal of Python's would round what is added to it.
        if day is None:
            hours[start_at] = int(checksum)
        else:
            days.append(RolledDay(organization_id, day, int(checksum), start_at, *bounds))
    return hours, days
