"""Alerts of what the rules against loops, retry storms and growing contexts saw, stopped or not (A4)."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from agents.models import GuardEvent, GuardRule
from alerts.models import Alert, AlertKind

# A proxy dates what it saw by its own clock, and writes it a moment later.
CLOCK_OFF_MAX = timedelta(minutes=5)
_TOLD = [rule for rule in GuardRule if rule != GuardRule.HELD_BACK]  # that a provider is busy is no news of the agent's


def guard_alerts(since_at: datetime) -> Iterator[Alert]:
    """One alert for each episode that a rule saw. since_at: what was seen earlier was dealt with."""
    events = GuardEvent.objects.filter(seen_at__gte=since_at - CLOCK_OFF_MAX, rule__in=_TOLD)
    for event in events.select_related("agent__organization").order_by("seen_at").iterator():
        yield _alert(event)


def _alert(event: GuardEvent) -> Alert:
    agent = event.agent
    return Alert(
        organization_id=event.organization_id, agent_id=agent.id, kind=AlertKind(event.rule), subject=event.session,
        window_start=event.episode_at, window_end=event.until_at,
        facts=event.facts | {
            "agent": agent.name, "mode": event.mode, "session": event.session,
            "time_zone": agent.organization.time_zone, "began_at": event.episode_at.isoformat(),
            "until_at": event.until_at and event.until_at.isoformat(),
        },
    )  # fmt: skip
