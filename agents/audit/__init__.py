"""Checks the invariants of the ledger and the book on one snapshot of the database, beside live traffic.

What has ended and was sound is remembered as sums, so that a run reads what is new. docs/ledger.md says what that may
and may not hide.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agents.audit import balances, calls, days, hours, limits, members, prices, rolled, totals
from agents.audit.book import BookDay, read_days, unread
from agents.audit.remembering import remember
from agents.audit.report import AuditReport, Check, Difference
from agents.audit.rereading import reread
from agents.audit.rows import row_checks
from agents.audit.snapshot import AuditUnderWay, alone, snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import date, datetime

    from django.db.backends.utils import CursorWrapper

__all__ = ["AuditReport", "AuditUnderWay", "Check", "Difference", "audit"]

# Rows are dated a moment before they are seen: the rollup reads two minutes twice, the audit leaves them out.
# Before the first rollup there is nothing to compare.
MARK = "SELECT coalesce(min(until_at) - interval '2 minutes', '-infinity')::text FROM mark WHERE name = 'sums'"
CLOCK = "SELECT ledger_clock()"
OVERRUN = f"""
SELECT sum(pico), sum(count), sum(priced) FROM (
    SELECT overrun_pico AS pico, overrun_count AS count, priced_count AS priced FROM audited_day
    WHERE NOT day = ANY (%s::date[])
    UNION ALL
    SELECT coalesce(sum(cost_pico - held_pico), 0), count(*), 0 FROM ({{rows}}) c WHERE {totals.OVERRUN}) parts
"""  # noqa: S608 (only our own names)
GONE = "SELECT count(*), coalesce(sum(row_count), 0) FROM audited_day WHERE NOT day = ANY (%s::date[])"


def audit(
    *, full: bool = False, accept: bool = False, wait_seconds: float = 0.0, at: datetime | None = None
) -> AuditReport:
    """Return what holds and what does not. Locks nothing that calls need; writes what it remembers.

    full: read what is remembered once more, and compare. accept: forget what differs from what was remembered, so
    that further runs take the book as it is.
    wait_seconds: how long to wait for another audit; raises AuditUnderWay when it takes longer.
    at: the moment to remember until; the database's clock by default.
    """
    with alone(wait_seconds):
        book = Check("book", f"no row that was read before is gone{' or changed' if full else ''}")
        differing = reread(book) if full else set()
        remember(at or _clock())
        with snapshot(read_only=True) as cursor:
            book_days = read_days(cursor)
            report = _report(cursor, book_days, book, differing)
        if accept:
            _forget(day for day in book_days if day.missing_count or day.day in differing)
    return report


def _report(cursor: CursorWrapper, book_days: list[BookDay], book: Check, differing: Collection[date]) -> AuditReport:
    for day in book_days:
        if day.missing_count:
            book.add(f"{day.day}: {day.missing_count} rows that were read before are gone")
    # Where a day is not as it was remembered, its rows are believed.
    book_days = [replace(day, until_at=None) if day.day in differing else day for day in book_days]
    rows, unremembered = unread(book_days), [day.day for day in book_days if not day.is_as_remembered]
    of_rows = row_checks(cursor, rows)
    calls.check_running(cursor, of_rows["ends_once"])
    members.check_now(cursor, of_rows, unremembered)
    prices.check_versions(cursor, of_rows["prices"])
    cursor.execute(MARK)
    mark = cursor.fetchone()[0]
    rolled_hours, rolled_days = rolled.read(cursor)
    checks = [
        *balances.checks(cursor, rows, unremembered), limits.check(cursor, rows, unremembered), *of_rows.values(),
        hours.check(cursor, mark, rolled_hours, rows, unremembered), days.check(cursor, mark, rolled_days), book,
    ]  # fmt: skip
    report = AuditReport(at=_now(cursor), checks=checks, read_count=sum(day.unread_count for day in book_days))
    _count(cursor, report, book_days, rows, unremembered)
    book.examined_count = report.remembered_count
    for name, check in of_rows.items():
        if name != "prices":
            check.examined_count = report.read_count + report.remembered_count
    return report


def _count(
    cursor: CursorWrapper, report: AuditReport, book_days: list[BookDay], rows: str, unremembered: Sequence[date]
) -> None:
    """Add up what was read and what is remembered."""
    cursor.execute(OVERRUN.replace("{rows}", rows), [list(unremembered)])
    overrun_pico, overrun_count, priced_count = cursor.fetchone()
    report.overrun_pico, report.overrun_count = int(overrun_pico), int(overrun_count)
    report.running_count, report.held_pico = calls.running(cursor)
    cursor.execute(GONE, [[day.day for day in book_days]])
    report.gone_day_count, gone_row_count = cursor.fetchone()
    kept = sum(day.remembered_count for day in book_days if day.is_as_remembered)
    report.remembered_count = kept + int(gone_row_count)
    next(check for check in report.checks if check.name == "prices").examined_count += int(priced_count)


def _forget(book_days: Iterable[BookDay]) -> None:
    with snapshot(read_only=False) as cursor:
        for day in book_days:
            totals.forget(cursor, day)


def _clock() -> datetime:
    with snapshot(read_only=True) as cursor:
        return _now(cursor)


def _now(cursor: CursorWrapper) -> datetime:
    cursor.execute(CLOCK)
    now: datetime = cursor.fetchone()[0]
    return now
