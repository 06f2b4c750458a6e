"""Alerts of budgets: thresholds and calls too large for what is left (A1, A2)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Sum

from accounts.models import AuditEntry
from agents.models import Budget, Call, Unit
from agents.reports.days import Period, call_ids
from agents.reports.spend import book
from alerts.models import Alert, AlertKind
from alerts.raising.standings import Key, Standing, standings
from alerts.thresholds import Told, passed, reached, to_tell

RATE_PERIOD = timedelta(hours=1)
_CHARGED = {Unit.USD: "cost_pico", Unit.TOKENS: "tokens", Unit.CALLS: "counted"}


def budget_alerts(at: datetime, since_at: datetime) -> Iterator[Alert]:
    """The alerts that budgets give rise to now, each at most once.

    since_at: refusals that ended earlier were dealt with.
    """
    standing = standings(at, since_at)
    told = _told(standing)
    for one in standing:
        threshold = _threshold_to_tell(one, told[one.key])
        if threshold:
            yield _alert(one, AlertKind.THRESHOLD, at, threshold=threshold, limit=one.limit)
        elif one.refused is not None and not one.refused.means_used_up:
            yield _alert(one, AlertKind.TOO_LARGE, at)


def _threshold_to_tell(standing: Standing, told: list[Told]) -> int:
    """The threshold to tell, or 0. A refusal at 80 % or more counts as if the whole limit were spent."""
    used_up = standing.refused is not None and standing.refused.means_used_up
    spent = standing.limit if used_up else standing.spent
    thresholds = standing.budget.thresholds
    if not reached(spent, standing.limit, thresholds):
        return 0
    already = passed(told, standing.limit, thresholds, spent_at_raise=_spent_at_raise(standing, told))
    return to_tell(spent, standing.limit, thresholds, already)


def _told(standing: Iterable[Standing]) -> Mapping[Key, list[Told]]:
    """What was told of these windows, in order of time."""
    told: defaultdict[Key, list[Told]] = defaultdict(list)
    keys = {one.key for one in standing}
    alerts = Alert.objects.filter(
        kind=AlertKind.THRESHOLD, budget_id__in={key[0] for key in keys}, window_start__in={key[2] for key in keys}
    )
    for alert in alerts.order_by("raised_at", "threshold"):
        assert alert.budget_id is not None
        assert alert.window_start is not None
        key = (alert.budget_id, alert.subject, alert.window_start)
        told[key].append(Told(alert.threshold, alert.limit, alert.facts["spent"]))
    return told


def _spent_at_raise(standing: Standing, told: list[Told]) -> int:
    """What the window had spent when its limit was raised; looked up in the book, and only where it matters."""
    if not told or standing.limit <= told[-1].limit:
        return 0
    known = reached(told[-1].spent, standing.limit, standing.budget.thresholds)
    if known == reached(standing.spent, standing.limit, standing.budget.thresholds):
        return told[-1].spent
    raised_at = _raised_at(standing.budget)
    if raised_at is None:
        return told[-1].spent
    first_id, last_id = call_ids(Period(standing.balance.window_start, raised_at))
    charged = Call.objects.filter(
        organization_id=standing.budget.organization_id, call_id__gte=first_id, call_id__lte=last_id,
        balance_ids__contains=[standing.balance.id], ended_at__lte=raised_at,
    )  # fmt: skip
    return int(charged.aggregate(sum=Sum(_CHARGED[Unit(standing.budget.unit)]))["sum"] or 0)


def _raised_at(budget: Budget) -> datetime | None:
    edits = AuditEntry.objects.filter(
        organization_id=budget.organization_id, action="budget.limit_set", details__budget_id=str(budget.id)
    )
    return edits.order_by("-at").values_list("at", flat=True).first()


def _alert(standing: Standing, kind: AlertKind, at: datetime, *, threshold: int = 0, limit: int = 0) -> Alert:
    budget, balance = standing.budget, standing.balance
    return Alert(
        organization=budget.organization, agent_id=budget.agent_id, kind=kind, budget_id=budget.id,
        subject=balance.subject, window_start=balance.window_start, window_end=balance.window_end,
        threshold=threshold, limit=limit, facts=_facts(standing, at),
    )  # fmt: skip


def _facts(standing: Standing, at: datetime) -> dict[str, Any]:
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
        "spent": standing.spent,
        "time_zone": budget.organization.time_zone,
        "rate_pico_per_hour": _rate_pico_per_hour(budget, at),
    }
    if refused is not None:
        facts |= {"refused_at": refused.spent, "asked": refused.asked, "call_id": str(refused.call_id)}
    return facts


def _rate_pico_per_hour(budget: Budget, at: datetime) -> int:
    """What the agent, or the whole organisation, spent in the last hour."""
    rows = book(budget.organization, Period(at - RATE_PERIOD, at), budget.agent_id)
    return int(rows.aggregate(sum=Sum("cost_pico"))["sum"] or 0)
