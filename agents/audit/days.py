"""Days against hours: daily usage is what its hours, and where its zone's midnight cuts one the book, add up to."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from agents.audit.book import reserved_between
from agents.audit.report import Check
from agents.audit.totals import CHECKSUM, USAGE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from uuid import UUID

    from django.db.backends.utils import CursorWrapper

    from agents.audit.rolled import RolledDay

# Rows that ended since the mark may not be summed yet.
PART = f"""
SELECT organization_id, {CHECKSUM}, max(last_ended_at) >= %s::timestamptz FROM ({USAGE}) u GROUP BY organization_id
"""  # noqa: S608 (only our own names)

type Part = dict[UUID, tuple[int, bool]]  # organisation → checksum, and whether something in it is not summed yet


def check(cursor: CursorWrapper, mark: str, days: Iterable[RolledDay]) -> Check:
    """Compare every day that was rolled up.

    mark: rows that ended before have been summed; a time as PostgreSQL writes it.
    """
    found = Check("days", "daily usage is the sum of its hours")

    @cache  # organisations of one zone share the parts that their midnights cut
    def part(start_at: datetime, end_at: datetime) -> Part:
        cursor.execute(PART.replace("{rows}", reserved_between(start_at, end_at)), [mark])
        return {organization_id: (int(checksum), is_new) for organization_id, checksum, is_new in cursor.fetchall()}

    for day in days:
        parts = [part(*edge).get(day.organization_id, (0, False)) for edge in day.cut]
        if any(is_new for _, is_new in parts):
            continue
        found.examined_count += 1
        if day.left != sum(checksum for checksum, _ in parts):
            found.add(f"{day.day} is not the sum of its hours", day.organization_id)
    return found
