"""Which balances of sessions, users, models and sub-agents have moved: there are too many to look at all of them."""

from typing import Any

from django.db import connection

from agents.days import Period, call_ids
from agents.models import Budget, Scope

_OF_SUBJECTS = (Scope.SESSION, Scope.USER, Scope.AGENT_USER, Scope.MODEL, Scope.SUB_AGENT)
# Read by the small index on the book's times, and only where somebody has a limit for each subject.
_MOVED = """
SELECT DISTINCT b.id
FROM call c CROSS JOIN LATERAL unnest(c.balance_ids) AS moved(id)
JOIN balance b ON b.id = moved.id AND b.subject <> ''
WHERE c.organization_id = ANY (%(organizations)s) AND c.call_id BETWEEN %(first)s AND %(last)s
  AND c.ended_at >= %(since)s AND NOT c.practice AND b.budget_id = ANY (%(budgets)s)
"""


def moved_balances(period: Period) -> list[int]:
    """The balances of subjects, of budgets with a limit, whose calls ended in the period; corrections count."""
    limited = Budget.objects.filter(ended_at=None, limit__gt=0, scope__in=_OF_SUBJECTS, scope_name="")
    budgets = dict(limited.values_list("id", "organization_id"))
    if not budgets:
        return []
    first_id, last_id = call_ids(period)
    values: dict[str, Any] = {
        "organizations": list(set(budgets.values())), "budgets": list(budgets), "first": first_id, "last": last_id,
        "since": period.start_at,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, values)
        return [balance_id for (balance_id,) in cursor.fetchall()]
