"""Shells for Celery; each may run twice or not at all, the next run makes it up."""

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from agents.audit import AuditUnderWay, audit
from agents.models import database_now
from alerts import delivery, raising


@shared_task(ignore_result=True)
def raise_alerts() -> None:
    """Notice what is worth telling and send it on its way, once it is committed."""
    for delivery_id in raising.raise_alerts(database_now()):
        deliver.delay(str(delivery_id))


# Shorter than an hour, after which the queue would give the task away once more. What is read by then is remembered.
@shared_task(ignore_result=True, time_limit=3_000)
def audit_books() -> None:
    """Compare ledger, book and sums, and tell what differs."""
    try:
        report = audit()
    except AuditUnderWay:
        return
    for delivery_id in raising.raise_differences(report):
        deliver.delay(str(delivery_id))


@shared_task(ignore_result=True)
def deliver(delivery_id: str) -> None:
    """Try one delivery."""
    delivery.deliver(UUID(delivery_id), timezone.now())


@shared_task(ignore_result=True)
def deliver_waiting() -> None:
    """Try again what failed or was left behind."""
    delivery.deliver_waiting(timezone.now())
