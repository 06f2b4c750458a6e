"""Reads what has ended since the last run, and remembers its sums where every row is sound.

Rows whose moment has passed do not change, but their number may: a correction lands in the day of its call with a new
time, which the next run reads as any other row; a row that comes in with an old time (the demonstration, an import)
makes the day's count wrong, and the day is read from its beginning.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from agents.audit import totals
from agents.audit.book import read_days, slice_end
from agents.audit.rows import row_checks
from agents.audit.snapshot import snapshot

if TYPE_CHECKING:
    from datetime import datetime

    from agents.audit.book import BookDay

# Rows carry the moment at which their transaction looked at the clock and are seen when it commits. One that is later
# than this is noticed all the same, by the count.
MARGIN = timedelta(minutes=5)

# Balances of subjects are purged; once their rows are dropped, too, nothing is left to compare.
FORGET_PURGED = """
DELETE FROM audited_balance a
WHERE NOT day = ANY (%s) AND NOT EXISTS (SELECT 1 FROM balance b WHERE b.id = a.balance_id)
"""


def remember(at: datetime) -> None:
    """Add what ended some minutes before `at` to the sums of its days; at: the database's clock."""
    with snapshot(read_only=True) as cursor:
        days = read_days(cursor)
    for day in days:
        # A day that lost rows stays as it was remembered, so that the loss stays visible.
        if day.unread_count and not day.missing_count:
            _remember_day(day, at - MARGIN)
    with snapshot(read_only=False) as cursor:
        cursor.execute(FORGET_PURGED, [[day.day for day in days]])


def _remember_day(day: BookDay, until: datetime) -> None:
    since = day.until_at
    if since is not None and not day.is_as_remembered:
        with snapshot(read_only=False) as cursor:
            totals.forget(cursor, day)
        since = None
    while (end := _remember_slice(day, since, until)) is not None:
        since = end


def _remember_slice(day: BookDay, since: datetime | None, until: datetime) -> datetime | None:
    """Remember the next rows of a day; return where to go on, None at the end or before a row that is not sound."""
    with snapshot(read_only=False) as cursor:
        end = slice_end(cursor, day, since, until)
        if end is None:
            return None
        rows = day.rows(since=since, until=end)
        # A row that is not sound is read by every run, so that every run says so.
        if any(check.differences for check in row_checks(cursor, rows).values()):
            return None
        totals.add(cursor, day, rows, end)
    return end
