"""Hours against the book: checksums of all of them, and the sums themselves where these differ."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from agents.audit.book import reserved_between
from agents.audit.report import Check
from agents.audit.totals import HOURS, USAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from django.db.backends.utils import CursorWrapper

NAMED_HOURS_MAX = 24  # hours of which each wrong sum is named

# Hours that were touched since the last rollup are not summed yet.
BOOKED = f"""
SELECT hour, sum(checksum), max(last_ended_at) < %(mark)s::timestamptz
FROM (SELECT hour, checksum, last_ended_at FROM audited_hour WHERE NOT day = ANY (%(unremembered)s::date[])
      UNION ALL SELECT hour, checksum, last_ended_at FROM ({HOURS}) read) parts
GROUP BY hour ORDER BY hour
"""  # noqa: S608 (only our own names, here and below)

_NAMES = ("cost_pico", "call_count", "refused_count", "failed_count", "refused_pico", "input_tokens",
          "cache_read_tokens", "output_tokens")  # fmt: skip
_BOTH = ", ".join(f"coalesce(b.{name}, 0), coalesce(u.{name}, 0)" for name in _NAMES)
_DIFFER = " OR ".join(f"coalesce(b.{name}, 0) <> coalesce(u.{name}, 0)" for name in _NAMES)
SUMS = f"""
SELECT organization_id, agent_id, provider, model, {_BOTH}
FROM ({USAGE}) b
FULL JOIN (SELECT * FROM hourly_usage WHERE hour = %(hour)s) u USING (organization_id, agent_id, provider, model)
WHERE {_DIFFER} ORDER BY 1, 2, 3, 4
"""  # noqa: S608


def check(
    cursor: CursorWrapper, mark: str, rolled: Mapping[datetime, int], rows: str, unremembered: Sequence[date]
) -> Check:
    """Compare every hour that nothing has touched since it was rolled up.

    mark: rows that ended before have been summed; a time as PostgreSQL writes it. rolled: the checksums of hours.
    rows: a query for what must be read of the book; unremembered: days that are in it whole.
    """
    found = Check("hours", "hourly usage is the sum of its calls")
    cursor.execute(BOOKED.replace("{rows}", rows), {"mark": mark, "unremembered": list(unremembered)})
    booked = {hour: (int(checksum), is_summed) for hour, checksum, is_summed in cursor.fetchall()}
    wrong = []
    for hour in sorted(booked.keys() | rolled.keys()):
        checksum, is_summed = booked.get(hour, (0, True))
        found.examined_count += is_summed
        if is_summed and checksum != rolled.get(hour, 0):
            wrong.append(hour)
    for number, hour in enumerate(wrong):
        if number >= NAMED_HOURS_MAX or not _name_sums(cursor, found, hour):
            found.add(f"{hour:%Y-%m-%d %H:%M} is not the sum of its calls")
    return found


def _name_sums(cursor: CursorWrapper, found: Check, hour: datetime) -> bool:
    """Say which sums of an hour are wrong; False where only the checksum shows it, because its rows are gone."""
    cursor.execute(SUMS.replace("{rows}", reserved_between(hour, hour + timedelta(hours=1))), {"hour": hour})
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    for organization_id, agent_id, _, model, *sums in rows:
        for name, booked, rolled in zip(_NAMES, sums[::2], sums[1::2], strict=True):
            if booked != rolled:
                what = f"{hour:%Y-%m-%d %H:%M} agent {agent_id}, {model}: {name}"
                found.add(f"{what} {rolled}, book {booked}", organization_id, f"{what} {rolled - booked:+}")
    return bool(rows)
