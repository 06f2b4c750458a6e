"""What a window had spent when its limit was raised, by an edit or a top-up (A2)."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.db import connection

from accounts.models import AuditEntry
from agents.days import Period, call_ids
from agents.models import Budget
from agents.reports.rolling import COUNTED
from alerts.raising.standings import Standing
from alerts.thresholds import Told, reached

_ACTIONS = ("budget.limit_set", "budget.topped_up")
_HOUR = timedelta(hours=1)
_KEPT = 4096

# One statement, so that no call ends between the balance and its rows.
_THEN = """
SELECT b.spent - coalesce((
    SELECT sum(ledger_amount(%(unit)s, c.cost_pico, c.tokens, c.counted)) FROM call c
    WHERE c.organization_id = %(organization)s AND c.call_id >= %(first)s AND c.ended_at > %(raised_at)s
      AND c.balance_ids @> ARRAY[b.id]), 0)
FROM balance b WHERE b.id = %(balance)s
"""
_THEN_ROLLING = """
SELECT coalesce(sum(ledger_amount(%(unit)s, c.cost_pico, c.tokens, c.counted)), 0) FROM call c
WHERE c.organization_id = %(organization)s AND c.call_id BETWEEN %(first)s AND %(last)s
  AND c.reserved_at >= %(since)s AND c.ended_at <= %(raised_at)s AND c.balance_ids @> ARRAY[%(balance)s::bigint]
"""


def spent_at_raise(standing: Standing, told: list[Told]) -> int:
    """What the window had spent when its limit was raised; looked up in the book, and only where it matters."""
    if not told or standing.limit <= told[-1].limit:
        return 0
    thresholds = standing.budget.thresholds
    known = reached(told[-1].spent, standing.limit, thresholds)
    if known == reached(standing.spent, standing.limit, thresholds):
        return told[-1].spent
    raised_at = _raised_at(standing.budget)
    if raised_at is None:
        return told[-1].spent
    budget = standing.budget
    look_up = _spent_rolling if standing.is_rolling else _spent
    return look_up(budget.organization_id, budget.unit, standing.balance.id, raised_at)


def _raised_at(budget: Budget) -> datetime | None:
    edits = AuditEntry.objects.filter(
        organization_id=budget.organization_id, action__in=_ACTIONS, details__budget_id=str(budget.id)
    )
    return edits.order_by("-at").values_list("at", flat=True).first()


@lru_cache(_KEPT)  # What was spent at a moment stays; until the next threshold is reached, each run asks again.
def _spent(organization_id: UUID, unit: str, balance_id: int, raised_at: datetime) -> int:
    first_id, _ = call_ids(Period(raised_at, raised_at))
    values = {
        "organization": organization_id, "unit": unit, "balance": balance_id, "raised_at": raised_at, "first": first_id,
    }  # fmt: skip
    return _asked(_THEN, values)


@lru_cache(_KEPT)
def _spent_rolling(organization_id: UUID, unit: str, balance_id: int, raised_at: datetime) -> int:
    """By the rule of ledger_rolling: whole hours of reserving that began less than 25 hours ago."""
    since_at = raised_at.replace(minute=0, second=0, microsecond=0) + _HOUR - COUNTED
    first_id, last_id = call_ids(Period(since_at, raised_at))
    values = {
        "organization": organization_id, "unit": unit, "balance": balance_id, "raised_at": raised_at,
        "first": first_id, "last": last_id, "since": since_at,
    }  # fmt: skip
    return _asked(_THEN_ROLLING, values)


def _asked(query: str, values: Mapping[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return max(0, int(cast("int", cursor.fetchone()[0])))
