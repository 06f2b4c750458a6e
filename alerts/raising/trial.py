"""The test message that a person asks for on the page: a real alert on the real way."""

from datetime import datetime

from accounts.models import Organization, User
from alerts.models import Alert, AlertKind, Delivery


def raise_test(organization: Organization, by: User, at: datetime) -> Delivery:
    """Raise a test alert to the person who asked; at most one a minute, whoever presses how often.

    at: now, aware.
    """
    alert, is_new = Alert.objects.get_or_create(
        organization=organization, kind=AlertKind.TEST, subject=str(by.id),
        window_start=at.replace(second=0, microsecond=0), budget_id=None, agent_id=None, threshold=0, limit=0,
        defaults={"facts": {"by": by.email, "organization": organization.name}, "raised_at": at},
    )  # fmt: skip
    if is_new:
        return Delivery.objects.create(alert=alert, address=by.email, next_attempt_at=at)
    return alert.deliveries.get()
