"""Notice what is worth telling, once. Level-triggered: a missed run is made up by the next."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from agents.audit import AuditReport
from agents.models import Mark
from alerts.models import Alert, Delivery
from alerts.raising.audits import audit_alerts, log_differences
from alerts.raising.budgets import budget_alerts
from alerts.raising.others import behind, overruns, rejected_keys
from alerts.raising.recipients import addresses

MARK = "alerts"
AUDIT_MARK = "audit"
# Rows carry the moment at which their transaction looked at the clock and are seen when it commits.
OVERLAP = timedelta(seconds=60)


def raise_alerts(at: datetime) -> list[UUID]:
    """Insert the alerts that are due and a delivery for each recipient; return the deliveries' ids.

    at: the database's clock. Safe to run at any time and any number of times; of several runs at once one works.
    """
    with transaction.atomic():
        if not Mark.take(MARK):
            return []
        last_run_at = Mark.of(MARK)
        since_at = (last_run_at or at) - OVERLAP
        delivery_ids = [delivery_id for alert in _due(at, since_at, last_run_at) for delivery_id in _insert(alert, at)]
        Mark.move(MARK, at)
    return delivery_ids


def raise_differences(report: AuditReport) -> list[UUID]:
    """Tell organisations what an audit found in their books and they do not know yet; return the deliveries' ids.

    Of several runs at once one works.
    """
    log_differences(report)
    with transaction.atomic():
        if not Mark.take(AUDIT_MARK):
            return []
        return [delivery_id for alert in audit_alerts(report) for delivery_id in _insert(alert, report.at)]


def _due(at: datetime, since_at: datetime, last_run_at: datetime | None) -> Iterator[Alert]:
    yield from budget_alerts(at, since_at)
    yield from overruns(at, since_at)
    yield from rejected_keys(at, since_at)
    yield from behind(at, last_run_at)


def _insert(alert: Alert, at: datetime) -> list[UUID]:
    """Insert an alert with its deliveries, unless it was raised before."""
    inserted, is_new = Alert.objects.get_or_create(
        organization_id=alert.organization_id, kind=alert.kind, budget_id=alert.budget_id, subject=alert.subject,
        window_start=alert.window_start, threshold=alert.threshold, limit=alert.limit, agent_id=alert.agent_id,
        defaults={"window_end": alert.window_end, "facts": alert.facts, "raised_at": at},
    )  # fmt: skip
    if not is_new:
        return []
    deliveries = [
        Delivery(alert=inserted, address=address, next_attempt_at=timezone.now())  # the workers' clock, not the book's
        for address in addresses(alert.organization_id, alert.agent_id)
    ]
    return [delivery.id for delivery in Delivery.objects.bulk_create(deliveries)]
