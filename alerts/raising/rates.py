"""How fast a budget is being spent: what its calls cost in the last hour."""

from datetime import datetime, timedelta

from django.db.models import Sum

from agents.days import Period
from agents.models import Scope
from agents.reports.spend import book
from agents.subjects import NOBODY
from alerts.models import Alert

RATE_PERIOD = timedelta(hours=1)
_COLUMNS = {
    Scope.SESSION: "session", Scope.USER: "user_subject", Scope.AGENT_USER: "user_subject", Scope.MODEL: "model",
    Scope.SUB_AGENT: "sub_agent",
}  # fmt: skip


def rate_pico_per_hour(alert: Alert, at: datetime) -> int:
    """What the subject of a budget's alert, its agent or its whole organisation spent in the last hour."""
    rows = book(alert.organization, Period(at - RATE_PERIOD, at), alert.agent_id)
    column = _COLUMNS.get(Scope(alert.facts["scope"]))
    if column is not None:
        name = alert.facts["scope_name"]
        rows = rows.filter(**{column: "" if name == NOBODY else name})
    return int(rows.aggregate(sum=Sum("cost_pico"))["sum"] or 0)
