"""How a daily budget was on a day that is over: its limit, and whether it refused with hardly anything left."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from accounts.models import AuditEntry
from agents.models import Budget, Call, CallStatus, Scope, Unit, Window
from agents.money import parse_usd
from agents.watch.active import CLOCK_OFF_MAX, ask

NEAR_PERCENT = 80  # from this share on, a refused call means that the budget is used up, as alerts count it
REFUSALS_MAX = 100

_BOUNDS = "SELECT uuid7_floor(%(start_at)s), uuid7_floor(%(end_at)s)"


def is_near(spent: int, limit: int) -> bool:
    """Whether hardly anything of the limit is left."""
    return spent * 100 >= limit * NEAR_PERCENT


def limit_at(budget: Budget, at: datetime) -> int | None:
    """The budget's limit at that time: what the first edit after it has changed, else what it is now."""
    edits = AuditEntry.objects.filter(
        organization_id=budget.organization_id, action="budget.limit_set", details__budget_id=str(budget.id), at__gt=at
    )
    first = edits.order_by("at").values_list("details", flat=True).first()
    if first is None:
        return budget.limit
    return None if first["from"] is None else int(first["from"])


def was_refused(budget: Budget, start_at: datetime, end_at: datetime) -> bool:
    """Whether the budget refused a call in this window when at least 80 % were spent."""
    assert budget.agent_id is not None, "a budget of an agent"
    ((first_id, last_id),) = ask(_BOUNDS, {"start_at": start_at - CLOCK_OFF_MAX, "end_at": end_at + CLOCK_OFF_MAX})
    refused = Call.objects.filter(
        agent_id=budget.agent_id, call_id__gte=first_id, call_id__lt=last_id, reserved_at__gte=start_at,
        reserved_at__lt=end_at, status=CallStatus.REFUSED, reason="budget_exceeded", practice=False,
        facts__scope=Scope.AGENT, facts__window=Window.DAY, facts__unit=Unit.USD,
    ).order_by("-call_id")  # fmt: skip
    return any(_was_near(facts) for facts in refused.values_list("facts", flat=True)[:REFUSALS_MAX])


def _was_near(facts: Mapping[str, Any] | None) -> bool:
    """Facts are free JSON: what cannot be read shows nothing."""
    try:
        assert facts is not None
        return is_near(parse_usd(str(facts["spent"])), parse_usd(str(facts["limit"])))
    except (AssertionError, KeyError, ValueError):
        return False
