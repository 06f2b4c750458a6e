"""Guards that count alone: while Valkey is away each process lets a whole limit through."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Min, Q

from agents.models import Guards, OwnerLease, RuleMode
from alerts.models import Alert, AlertKind

TOLD_AFTER = timedelta(minutes=1)  # Valkey was started again and nobody noticed: that is no news
AGAIN_AFTER = timedelta(hours=1)  # processes that start meanwhile begin to count alone later
_COUNTED = (
    Q(calls_per_minute__isnull=False) | Q(tokens_per_minute__isnull=False) | Q(repeat_mode=RuleMode.BLOCK)
    | Q(busy_mode=RuleMode.BLOCK) | Q(retry_mode=RuleMode.BLOCK)
)  # fmt: skip


def degraded(at: datetime) -> Iterator[Alert]:
    """One alert for each time that guards count alone, to organisations whose agents have such guards."""
    alive = OwnerLease.objects.filter(expires_at__gt=at, degraded_since__isnull=False)
    since_at: datetime | None = alive.aggregate(since=Min("degraded_since"))["since"]
    if since_at is None or at - since_at < TOLD_AFTER:
        return
    concerned = Guards.objects.filter(_COUNTED, agent__archived_at=None)
    for organization_id in set(concerned.values_list("agent__organization_id", flat=True)):
        told = Alert.objects.filter(organization_id=organization_id, kind=AlertKind.GUARDS_DEGRADED)
        last_at = told.order_by("-raised_at").values_list("raised_at", flat=True).first()
        if last_at is None or (since_at > last_at and at - last_at >= AGAIN_AFTER):
            yield Alert(
                organization_id=organization_id, kind=AlertKind.GUARDS_DEGRADED, window_start=since_at,
                facts={"since": since_at.isoformat(), "process_count": alive.count()},
            )  # fmt: skip
