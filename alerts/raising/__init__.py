"""Notice what is worth telling, once. Level-triggered: a missed run is made up by the next."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction

from agents.audit import AuditReport
from agents.models import Mark
from alerts.models import Alert
from alerts.raising.audits import audit_alerts, log_differences
from alerts.raising.breaches import breaches
from alerts.raising.budgets import budget_alerts
from alerts.raising.crowds import forget, sums
from alerts.raising.degraded import degraded
from alerts.raising.guards import guard_alerts
from alerts.raising.inserting import insert
from alerts.raising.others import behind, overruns, rejected_keys
from alerts.raising.prices import expiring_prices

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
        delivery_ids = insert(_due(at, since_at, last_run_at), at)
        forget(at)
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
        return insert(audit_alerts(report), report.at)


def _due(at: datetime, since_at: datetime, last_run_at: datetime | None) -> Iterator[Alert]:
    yield from budget_alerts(at, since_at)
    yield from sums(at)
    yield from overruns(at, since_at)
    yield from breaches(at, since_at)
    yield from guard_alerts(since_at)
    yield from rejected_keys(at, since_at)
    yield from behind(at, last_run_at)
    yield from degraded(at)
    yield from expiring_prices(at)
