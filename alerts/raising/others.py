"""Alerts that no budget gives rise to: overruns, rejected provider keys, sums or alerts that come late (A4)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db.models import F, Max, Q, Sum

from accounts.credentials import note_rejection
from accounts.models import ProviderCredential
from agents.days import Period, call_ids
from agents.models import Agent, Call, CallStatus
from agents.pins import pinned_id
from agents.rollups import rolled_until
from alerts.models import Alert, AlertKind

BEHIND_AFTER = timedelta(minutes=15)


def overruns(at: datetime, since_at: datetime) -> Iterator[Alert]:
    """Calls that cost more than their ceiling: one alert for each agent, model and day."""
    first_id, last_id = call_ids(Period(since_at, at))
    settled_above = Q(seq=0, status=CallStatus.SETTLED, cost_pico__gt=F("held_pico"))
    # An expired call was charged its ceiling, so whatever its late settle adds is above it.
    settled_late_above = Q(seq__gt=0, reason="late_settle", cost_pico__gt=0)
    calls = Call.objects.filter(
        settled_above | settled_late_above,
        call_id__gte=first_id, call_id__lte=last_id, ended_at__gte=since_at, practice=False,
    ).order_by("ended_at")  # fmt: skip
    for call in calls.iterator():
        yield _overrun(call if call.seq == 0 else Call.objects.get(call_id=call.call_id, seq=0))


def _overrun(call: Call) -> Alert:
    rows = Call.objects.filter(call_id=call.call_id)
    agent = Agent.objects.filter(id=call.agent_id).first()
    return Alert(
        organization_id=call.organization_id, agent_id=call.agent_id, kind=AlertKind.OVERRUN,
        subject=f"{call.provider}/{call.model}"[:128], window_start=_day(call.reserved_at),
        facts={"agent": agent.name if agent else "", "model": call.model, "call_id": str(call.call_id),
               "cost_pico": int(rows.aggregate(sum=Sum("cost_pico"))["sum"]), "held_pico": call.held_pico},
    )  # fmt: skip


def rejected_keys(at: datetime, since_at: datetime) -> Iterator[Alert]:
    """Provider keys that their provider no longer takes: once for each key that was stored."""
    first_id, last_id = call_ids(Period(since_at, at))
    calls = Call.objects.filter(
        call_id__gte=first_id, call_id__lte=last_id, ended_at__gte=since_at, reason="provider_key_rejected"
    ).order_by()  # fmt: skip
    for row in calls.values("organization_id", "agent_id", "provider").annotate(last_at=Max("reserved_at")):
        note_rejection(
            row["organization_id"], row["provider"], called_at=row["last_at"],
            credential_id=pinned_id(row["agent_id"], row["provider"]),
        )  # fmt: skip
    for credential in ProviderCredential.objects.exclude(rejected_at=None):
        yield Alert(
            organization_id=credential.organization_id, kind=AlertKind.KEY_REJECTED, subject=credential.provider,
            window_start=credential.created_at,
            facts={"provider": credential.provider, "key_hint": credential.key_hint},
        )  # fmt: skip


def behind(at: datetime, last_run_at: datetime | None) -> Iterator[Alert]:
    """Say so when calls waited too long to be summed, or to be looked at for alerts; once a day."""
    for what, done_until_at in (("sums", rolled_until()), ("alerts", last_run_at)):
        if done_until_at is None or at - done_until_at < BEHIND_AFTER:
            continue
        waited = Period(done_until_at, at - BEHIND_AFTER)
        first_id, last_id = call_ids(waited)
        waiting = Call.objects.filter(
            call_id__gte=first_id, call_id__lte=last_id, ended_at__gte=waited.start_at, ended_at__lt=waited.end_at
        )  # fmt: skip
        for organization_id in waiting.order_by().values_list("organization_id", flat=True).distinct():
            yield Alert(
                organization_id=organization_id, kind=AlertKind.BEHIND, subject=what, window_start=_day(at),
                facts={"what": what, "since": done_until_at.isoformat(), "minutes": (at - done_until_at).seconds // 60},
            )  # fmt: skip


def _day(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
