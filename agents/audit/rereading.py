"""Reads remembered rows again and compares: a row that was edited, or sums that were, show here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.audit import totals
from agents.audit.book import read_days, slice_end
from agents.audit.rows import row_checks
from agents.audit.snapshot import snapshot

if TYPE_CHECKING:
    from datetime import date

    from django.db.backends.utils import CursorWrapper

    from agents.audit.book import BookDay
    from agents.audit.report import Check

DAY = f"""
SELECT r.fingerprint <> d.fingerprint, r.priced_count <> d.priced_count,
       (r.overrun_count, r.overrun_pico) IS DISTINCT FROM (d.overrun_count, d.overrun_pico)
FROM ({totals.DAY}) r, audited_day d WHERE d.day = %(day)s
"""  # noqa: S608 (only our own names, here and below)
BALANCES = f"""
SELECT balance_id, coalesce(r.organization_id, a.organization_id), coalesce(r.usd_pico, 0) - coalesce(a.usd_pico, 0),
       coalesce(r.tokens, 0) - coalesce(a.tokens, 0), coalesce(r.calls, 0) - coalesce(a.calls, 0)
FROM ({totals.BALANCES}) r
FULL JOIN (SELECT * FROM audited_balance WHERE day = %(day)s) a USING (balance_id)
WHERE (r.usd_pico, r.tokens, r.calls, r.overrun_pico, r.overrun_calls)
   IS DISTINCT FROM (a.usd_pico, a.tokens, a.calls, a.overrun_pico, a.overrun_calls)
ORDER BY 1
"""  # noqa: S608
HOURS = f"""
SELECT hour FROM ({totals.HOURS}) r
FULL JOIN (SELECT * FROM audited_hour WHERE day = %(day)s) a USING (hour)
WHERE r.checksum IS DISTINCT FROM a.checksum ORDER BY 1
"""  # noqa: S608


def reread(book: Check) -> set[date]:
    """Compare every remembered day with its rows as they are now; return the days that are not the same.

    book: takes what differs. Days whose count is wrong are read by the run anyway.
    """
    with snapshot(read_only=True) as cursor:
        days = [day for day in read_days(cursor) if day.is_as_remembered]
    return {day.day for day in days if not _is_same(day, book)}


def _is_same(day: BookDay, book: Check) -> bool:
    with snapshot(read_only=True) as cursor:
        rows = day.rows(until=day.until_at)
        differs = [question(cursor, day, rows, book) for question in (_row, _balances, _hours)]
    return not any(differs) and _rows_are_sound(day)


def _rows_are_sound(day: BookDay) -> bool:
    """Whether every row still agrees with the rest. What does not is told by the run, which reads this day whole."""
    assert day.until_at is not None, "only remembered days are read again"
    since = None
    while True:
        with snapshot(read_only=True) as cursor:
            end = slice_end(cursor, day, since, day.until_at)
            if end is None:
                return True
            if any(check.differences for check in row_checks(cursor, day.rows(since=since, until=end)).values()):
                return False
        since = end


def _row(cursor: CursorWrapper, day: BookDay, rows: str, book: Check) -> bool:
    differs = any(any(row) for row in _ask(cursor, DAY, day, rows))
    if differs:
        book.add(f"{day.day}: a row is not what it was when it was read")
    return differs


def _balances(cursor: CursorWrapper, day: BookDay, rows: str, book: Check) -> bool:
    found = _ask(cursor, BALANCES, day, rows)
    for balance_id, organization_id, usd_pico, tokens, calls in found:
        book.add(
            f"{day.day}: balance {balance_id} was charged otherwise when its calls were read, by {usd_pico:+} "
            f"pico-dollars, {tokens:+} tokens, {calls:+} calls",
            organization_id,
        )
    return bool(found)


def _hours(cursor: CursorWrapper, day: BookDay, rows: str, book: Check) -> bool:
    found = _ask(cursor, HOURS, day, rows)
    for (hour,) in found:
        book.add(f"{day.day}: the usage of {hour:%Y-%m-%d %H:%M} is not what it was when its calls were read")
    return bool(found)


def _ask(cursor: CursorWrapper, question: str, day: BookDay, rows: str) -> list[tuple[Any, ...]]:
    cursor.execute(question.replace("{rows}", rows), {"day": day.day})
    return list(cursor.fetchall())
