"""Calls that read more than was bounded and still cost no more than their ceiling; overruns are told for themselves."""

from collections.abc import Iterator
from datetime import UTC, datetime

from django.db.models import F

from agents.days import Period, call_ids
from agents.models import Agent, Call, CallStatus
from alerts.models import Alert, AlertKind


def breaches(at: datetime, since_at: datetime) -> Iterator[Alert]:
    """One alert for each provider, model and day whose bound did not hold."""
    first_id, last_id = call_ids(Period(since_at, at))
    calls = Call.objects.filter(
        call_id__gte=first_id, call_id__lte=last_id, ended_at__gte=since_at, seq=0, status=CallStatus.SETTLED,
        practice=False, cost_pico__lte=F("held_pico"), facts__bound__breach=True,
    ).order_by("ended_at")  # fmt: skip
    for call in calls.iterator():
        yield _breach(call)


def _breach(call: Call) -> Alert:
    agent = Agent.objects.filter(id=call.agent_id).first()
    bound = call.facts["bound"] if call.facts else {}
    return Alert(
        organization_id=call.organization_id, kind=AlertKind.BOUND_BREACH,
        subject=f"{call.provider}/{call.model}"[:128],
        window_start=call.reserved_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0),
        facts={"agent": agent.name if agent else "", "provider": call.provider, "model": call.model,
               "call_id": str(call.call_id), "counted": bound.get("stage") == 1, "bound_tokens": bound.get("tokens"),
               "actual_tokens": bound.get("actual")},
    )  # fmt: skip
