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
    MORE = "more", "Further alerts of one kind"
    OVERRUN = "overrun", "Call cost more than its ceiling"
    BOUND_BREACH = "bound_breach", "Call read more than was bounded"
    KEY_REJECTED = "key_rejected", "Provider key rejected"
    BEHIND = "behind", "Sums or alerts are behind"
    AUDIT = "audit", "Books differ"
    PRICE_EXPIRES = "price_expires", "Price about to expire"
    GUARDS_DEGRADED = "guards_degraded", "Guards count per process"
    # The values of agents.models.GuardRule
    LOOP_REPEAT = "loop_repeat", "Loop: the same message again and again"
    LOOP_SESSION = "loop_session", "Loop: a session with very many calls"
    LOOP_BUSY = "loop_busy", "Loop: no pause for hours"
    LOOP_WINDOWS = "loop_windows", "Loop: budget used up several times in a row"
    RETRY_STORM = "retry_storm", "Retry storm"
    CONTEXT_BLOAT = "context_bloat", "Growing context"
    TEST = "test", "Test message"


# What is told of a budget's window.
BUDGETS = frozenset({AlertKind.THRESHOLD, AlertKind.TOO_LARGE})
# What rules against loops, storms and growing contexts saw.
GUARDS = frozenset({
    AlertKind.LOOP_REPEAT, AlertKind.LOOP_SESSION, AlertKind.LOOP_BUSY, AlertKind.LOOP_WINDOWS, AlertKind.RETRY_STORM,
    AlertKind.CONTEXT_BLOAT,
})  # fmt: skip


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
    quiet = models.BooleanField(default=False, db_default=False)  # one of very many: told by the sum of its hour
    raised_at = models.DateTimeField(default=timezone.now)

    objects = AlertQuerySet.as_manager()

    class Meta:
        db_table = "alert"
        indexes: ClassVar = [
            models.Index(fields=["organization", "-id"], name="alert_by_time"),
            models.Index(fields=["raised_at"], condition=Q(quiet=True), name="alert_quiet"),
        ]
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
