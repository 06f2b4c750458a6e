"""Which rows of the book a run reads: what ended since they were read last, and days that are not as remembered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from agents.days import Period, call_ids

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.backends.utils import CursorWrapper

DAYS = """
SELECT p.name, d.until_at, coalesce(d.row_count, 0)
FROM (SELECT inhrelid::regclass::text AS name, to_date(right(inhrelid::regclass::text, 8), 'YYYYMMDD') AS day
      FROM pg_inherits WHERE inhparent = 'call'::regclass) p
LEFT JOIN audited_day d USING (day)
ORDER BY p.day
"""
# Read in one transaction at most: a long one would keep the old versions of busy balances.
SLICE = timedelta(hours=3)
NO_ROWS = "SELECT * FROM call WHERE false"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookDay:
    """A day of the book as one snapshot shows it.

    row_count: all its rows; new_count: those that ended at until_at or later, or all where nothing is remembered.
    remembered_count: how many had ended before until_at when they were summed.
    """

    day: date
    row_count: int
    new_count: int
    until_at: datetime | None = None
    remembered_count: int = 0

    @property
    def missing_count(self) -> int:
        """Rows that were there and are gone: the book only grows."""
        return max(0, self.remembered_count - (self.row_count - self.new_count))

    @property
    def is_as_remembered(self) -> bool:
        """Whether the rows before until_at are as many as were summed; rows can come in with an older time."""
        return self.until_at is not None and self.row_count - self.new_count == self.remembered_count

    @property
    def unread_count(self) -> int:
        """How many rows a run must read, because what is remembered does not stand for them."""
        return self.new_count if self.is_as_remembered else self.row_count

    def unread(self) -> str:
        """A query for those rows."""
        return self.rows(since=self.until_at if self.is_as_remembered else None)

    def rows(self, *, since: datetime | None = None, until: datetime | None = None) -> str:
        """A query for the day's rows that ended in a stretch of time.

        It holds no parameters: only with the bounds in its text does PostgreSQL leave other days out at once.
        """
        start_at = datetime.combine(self.day, time(), UTC)
        first_id, after_last_id = _floor_id(start_at), _floor_id(start_at + timedelta(days=1))
        query = f"SELECT * FROM call WHERE call_id >= '{first_id}' AND call_id < '{after_last_id}'"  # noqa: S608 (our own)
        if since is not None:
            query += f" AND ended_at >= '{since.isoformat()}'"
        if until is not None:
            query += f" AND ended_at < '{until.isoformat()}'"
        return query


def read_days(cursor: CursorWrapper) -> list[BookDay]:
    """Return every day of the book with what is remembered of it."""
    cursor.execute(DAYS)
    return [_count(cursor, *row) for row in cursor.fetchall()]


def unread(days: Iterable[BookDay]) -> str:
    """A query for the rows of all days that a run must read."""
    return " UNION ALL ".join(day.unread() for day in days if day.unread_count) or NO_ROWS


def reserved_between(start_at: datetime, end_at: datetime) -> str:
    """A query for the rows of calls that were reserved in a stretch of time, without parameters."""
    first_id, last_id = call_ids(Period(start_at, end_at))
    return (
        f"SELECT * FROM call WHERE reserved_at >= '{start_at.isoformat()}' AND reserved_at < '{end_at.isoformat()}'"  # noqa: S608
        f" AND call_id >= '{first_id}' AND call_id <= '{last_id}'"
    )


def slice_end(cursor: CursorWrapper, day: BookDay, since: datetime | None, until: datetime) -> datetime | None:
    """Return where the next few hours of a day's rows end; None where none is left before `until`."""
    cursor.execute(f"SELECT min(ended_at) FROM ({day.rows(since=since, until=until)}) c")  # noqa: S608 (our own)
    first_at: datetime | None = cursor.fetchone()[0]
    return None if first_at is None else min(first_at + SLICE, until)


def _count(cursor: CursorWrapper, name: str, until_at: datetime | None, remembered_count: int) -> BookDay:
    cursor.execute(f"SELECT count(*) FROM {name}")  # noqa: S608 (quoted by PostgreSQL)
    row_count = new_count = cursor.fetchone()[0]
    if until_at is not None:
        cursor.execute(f"SELECT count(*) FROM {name} WHERE ended_at >= %s", [until_at])  # noqa: S608
        new_count = cursor.fetchone()[0]
    day = datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC).date()
    return BookDay(
        day=day, row_count=row_count, new_count=new_count, until_at=until_at, remembered_count=remembered_count
    )


def _floor_id(at: datetime) -> UUID:
    return UUID(int=int(at.timestamp() * 1000) << 80)
