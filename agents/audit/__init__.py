"""Checks the invariants of the ledger and the book on one snapshot of the database, beside live traffic."""

from django.db import connection, transaction

from agents.audit import balances, calls, prices, sums
from agents.audit.report import AuditReport, Check

__all__ = ["AuditReport", "Check", "audit"]


def audit() -> AuditReport:
    """Return what holds and what does not. Writes nothing, locks nothing."""
    with transaction.atomic(), connection.cursor() as cursor:
        # Each flush is one commit, so any snapshot must be consistent in itself.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SET LOCAL TIME ZONE 'UTC'")
        # Audits read everything: no page's time limit applies.
        cursor.execute("SET LOCAL statement_timeout = 0")
        checks = [*balances.checks(cursor), *calls.checks(cursor), prices.check(cursor), *sums.checks(cursor)]
        overrun_pico, overrun_count = calls.overrun(cursor)
        running_count, held_pico = calls.running(cursor)
    return AuditReport(checks, overrun_pico, overrun_count, running_count, held_pico)
