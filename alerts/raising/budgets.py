"""Alerts of budgets: thresholds and calls too large for what is left (A1, A2)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db.models import Q

from agents.reports.rolling import COUNTED
from alerts.models import Alert, AlertKind
from alerts.raising.raises import spent_at_raise
from alerts.raising.standings import Key, Standing, standings
from alerts.thresholds import Told, passed, reached, to_tell


def budget_alerts(at: datetime, since_at: datetime) -> Iterator[Alert]:
    """The alerts that budgets give rise to now, each at most once; their facts still lack the rate of spending.

    since_at: refusals and calls that ended earlier were dealt with.
    """
    standing = standings(at, since_at)
    told = _told(standing, at)
    for one in standing:
        threshold = _threshold_to_tell(one, told[one.key])
        if threshold:
            yield _alert(one, AlertKind.THRESHOLD, threshold=threshold, limit=one.limit)
        elif one.refused is not None and not one.refused.means_used_up:
            yield _alert(one, AlertKind.TOO_LARGE)


def _threshold_to_tell(standing: Standing, told: list[Told]) -> int:
    """The threshold to tell, or 0. A refusal at 80 % or more counts as if the whole limit were spent."""
    used_up = standing.refused is not None and standing.refused.means_used_up
    spent = standing.limit if used_up else standing.spent
    thresholds = standing.budget.thresholds
    if not reached(spent, standing.limit, thresholds):
        return 0
    already = passed(told, standing.limit, thresholds, spent_at_raise=spent_at_raise(standing, told))
    return to_tell(spent, standing.limit, thresholds, already)


def _told(standing: Iterable[Standing], at: datetime) -> Mapping[Key, list[Told]]:
    """What was told of these windows, in order of time."""
    told: defaultdict[Key, list[Told]] = defaultdict(list)
    rolling = {one.budget.id for one in standing if one.is_rolling}
    in_window = Q(window_start__in={one.window_start for one in standing if not one.is_rolling})
    # A rolling budget has no windows: as long as what was told still counts, it is not told again.
    lately = Q(budget_id__in=rolling, raised_at__gt=at - COUNTED)
    alerts = Alert.objects.filter(
        in_window | lately, kind=AlertKind.THRESHOLD,
        organization_id__in={one.budget.organization_id for one in standing},
        budget_id__in={one.budget.id for one in standing}, subject__in={one.balance.subject for one in standing},
    )  # fmt: skip
    for alert in alerts.order_by("raised_at", "threshold"):
        assert alert.budget_id is not None
        start_at = None if alert.budget_id in rolling else alert.window_start
        told[alert.budget_id, alert.subject, start_at].append(Told(alert.threshold, alert.limit, alert.facts["spent"]))
    return told


def _alert(standing: Standing, kind: AlertKind, *, threshold: int = 0, limit: int = 0) -> Alert:
    budget, balance = standing.budget, standing.balance
    return Alert(
        organization=budget.organization, agent_id=budget.agent_id, kind=kind, budget_id=budget.id,
        subject=balance.subject, window_start=standing.window_start, window_end=balance.window_end,
        threshold=threshold, limit=limit, facts=_facts(standing),
    )  # fmt: skip


def _facts(standing: Standing) -> dict[str, Any]:
    """Names and exact amounts as they are now: the message tells them later, whatever happens meanwhile."""
    budget, refused = standing.budget, standing.refused
    facts: dict[str, Any] = {
        "organization": budget.organization.name,
        "agent": budget.agent.name if budget.agent else "",
        "scope": budget.scope,
        "scope_name": budget.scope_name or standing.balance.subject,
        "unit": budget.unit,
        "window": budget.window,
        "mode": budget.mode,
        "limit": standing.limit,
        "topped_up": standing.balance.extra,
        "spent": standing.spent,
        "time_zone": budget.organization.time_zone,
    }
    if standing.room_at is not None:
        facts["room_at"] = standing.room_at.isoformat()
    if refused is not None:
        facts |= {"refused_at": refused.spent, "asked": refused.asked, "call_id": str(refused.call_id)}
    return facts
