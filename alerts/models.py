"""What people are told: the fact that was noticed, and each attempt to tell somebody."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.ids import uuid7
from accounts.models import Organization


class AlertKind(models.TextChoices):
    THRESHOLD = "threshold", "Budget threshold"
    TOO_LARGE = "too_large", "Call too large for what is left"
    OVERRUN = "overrun", "Call cost more than its ceiling"
    KEY_REJECTED = "key_rejected", "Provider key rejected"
    BEHIND = "behind", "Sums or alerts are behind"
    AUDIT = "audit", "Books differ"
    TEST = "test", "Test message"


class AlertQuerySet(models.QuerySet["Alert"]):
    def for_org(self, organization: Organization) -> AlertQuerySet:
        """Start from the tenant: only this organisation's alerts."""
        return self.filter(organization=organization)


class Alert(models.Model):
    """A fact worth telling, once. For a threshold: once per budget, subject, window, threshold and limit.

    The limit belongs to it because a raised limit arms its thresholds anew; other kinds leave it 0.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="alerts")
    agent_id = models.UUIDField(null=True)
    kind = models.CharField(max_length=16, choices=AlertKind, default=AlertKind.THRESHOLD)
    budget_id = models.BigIntegerField(null=True)
    subject = models.CharField(max_length=128, default="", blank=True)
    window_start = models.DateTimeField(null=True)
    window_end = models.DateTimeField(null=True)
    threshold = models.PositiveSmallIntegerField(default=0)
    limit = models.BigIntegerField(default=0)  # in the budget's unit, as it was then
    facts = models.JSONField(default=dict)  # names and exact amounts as they were then
    raised_at = models.DateTimeField(default=timezone.now)

    objects = AlertQuerySet.as_manager()

    class Meta:
        db_table = "alert"
        indexes: ClassVar = [models.Index(fields=["organization", "-id"], name="alert_by_time")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=[
                    "organization",
                    "kind",
                    "budget_id",
                    "subject",
                    "window_start",
                    "threshold",
                    "limit",
                    "agent_id",
                ],
                nulls_distinct=False,
                name="alert_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.threshold}"


class DeliveryState(models.TextChoices):
    WAITING = "waiting", "Waiting"
    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"


class Delivery(models.Model):
    """One alert on its way to one address; claimed by a guarded update, retried with back-off."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    alert = models.ForeignKey(Alert, models.CASCADE, related_name="deliveries")
    address = models.EmailField()
    state = models.CharField(max_length=8, choices=DeliveryState, default=DeliveryState.WAITING)
    attempt_count = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "delivery"
        indexes: ClassVar = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(state__in=["waiting", "sending"]), name="delivery_unfinished"
            ),
        ]
        constraints: ClassVar = [models.UniqueConstraint(fields=["alert", "address"], name="delivery_once")]

    def __str__(self) -> str:
        return f"{self.alert} to {self.address}"
