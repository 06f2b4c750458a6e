"""Everything that a row of the book can contradict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.audit import calls, members, prices

if TYPE_CHECKING:
    from django.db.backends.utils import CursorWrapper

    from agents.audit.report import Check


def row_checks(cursor: CursorWrapper, rows: str) -> dict[str, Check]:
    """Look at some rows of the book, inside a snapshot; checks by name.

    rows: a query that gives them.
    """
    found = [*calls.row_checks(cursor, rows), *members.row_checks(cursor, rows), prices.check(cursor, rows)]
    return {check.name: check for check in found}
