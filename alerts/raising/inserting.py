"""Puts alerts that are due into the database, each once, with a delivery for everybody who is to be told."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from alerts.models import BUDGETS, Alert, Delivery
from alerts.raising import crowds
from alerts.raising.rates import rate_pico_per_hour
from alerts.raising.recipients import addresses

BATCH = 1000
# What the constraint alert_once takes for the same fact.
_ONCE = ("organization_id", "kind", "budget_id", "subject", "window_start", "threshold", "limit", "agent_id")


def insert(alerts: Iterable[Alert], at: datetime) -> list[UUID]:
    """Insert alerts, unless they were raised before; return the ids of the deliveries.

    at: the database's clock. Of a crowd only a few get deliveries; the others wait for the sum of their hour.
    """
    alone, by_crowd = crowds.crowded(_not_raised(list(alerts)))
    for crowd, many in by_crowd.items():
        own, quiet = crowds.parted(crowd, many, at)
        alone += own
        for alert in quiet:
            alert.quiet, alert.raised_at = True, at
        Alert.objects.bulk_create(quiet, batch_size=BATCH, ignore_conflicts=True)
    return [delivery_id for alert in alone for delivery_id in _insert(alert, at)]


def _not_raised(alerts: Sequence[Alert]) -> list[Alert]:
    """Leave those out that are there already: most are seen again for a minute or longer."""
    if not alerts:
        return []
    raised = Alert.objects.filter(
        organization_id__in={alert.organization_id for alert in alerts}, kind__in={alert.kind for alert in alerts},
        subject__in={alert.subject for alert in alerts}, window_start__in={alert.window_start for alert in alerts},
    )  # fmt: skip
    known = set(raised.values_list(*_ONCE))
    return [alert for alert in alerts if tuple(getattr(alert, name) for name in _ONCE) not in known]


def _insert(alert: Alert, at: datetime) -> list[UUID]:
    inserted, is_new = Alert.objects.get_or_create(
        organization_id=alert.organization_id, kind=alert.kind, budget_id=alert.budget_id, subject=alert.subject,
        window_start=alert.window_start, threshold=alert.threshold, limit=alert.limit, agent_id=alert.agent_id,
        defaults={"window_end": alert.window_end, "facts": lambda: _facts(alert, at), "raised_at": at},
    )  # fmt: skip
    if not is_new:
        return []
    deliveries = [
        Delivery(alert=inserted, address=address, next_attempt_at=timezone.now())  # the workers' clock, not the book's
        for address in addresses(alert.organization_id, alert.agent_id)
    ]
    return [delivery.id for delivery in Delivery.objects.bulk_create(deliveries)]


def _facts(alert: Alert, at: datetime) -> dict[str, Any]:
    """The facts, and where a budget is told of also how fast it is being spent: asked only for what is sent."""
    facts: dict[str, Any] = alert.facts
    if alert.kind not in BUDGETS:
        return facts
    return facts | {"rate_pico_per_hour": rate_pico_per_hour(alert, at)}
