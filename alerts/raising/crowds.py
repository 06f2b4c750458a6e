"""Alerts about one of very many sessions, users or agents: a few get their own message, a sum tells of the rest."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db.models import Count, QuerySet
from django.db.models.functions import TruncHour

from alerts.models import BUDGETS, GUARDS, Alert, AlertKind
from alerts.raising.standings import LATE_MAX

OWN_MESSAGES_MAX = 5  # for each crowd and hour
KEPT = timedelta(days=40)  # as long as the balances of subjects that rest
FORGET_COUNT_MAX = 1000
EXAMPLE_COUNT = 5
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Crowd:
    """What the alerts of a crowd have in common: the budget of many subjects, or the rule that many agents trip."""

    organization_id: UUID
    kind: str
    budget_id: int | None
    agent_id: UUID | None  # whose budget it is

    @classmethod
    def of(cls, alert: Alert) -> "Crowd | None":
        """The crowd that an alert belongs to; None for one that stands alone."""
        if alert.kind in GUARDS:
            # Where a provider fails, every agent storms.
            return cls(alert.organization_id, alert.kind, None, None)
        if alert.kind in BUDGETS and alert.subject:
            return cls(alert.organization_id, alert.kind, alert.budget_id, alert.agent_id)
        return None

    @property
    def alerts(self) -> QuerySet[Alert]:
        """All that were raised of it."""
        return Alert.objects.filter(organization_id=self.organization_id, kind=self.kind, budget_id=self.budget_id)


def crowded(alerts: Iterable[Alert]) -> tuple[list[Alert], dict[Crowd, list[Alert]]]:
    """Part alerts that stand alone from crowds."""
    alone: list[Alert] = []
    crowds: defaultdict[Crowd, list[Alert]] = defaultdict(list)
    for alert in alerts:
        crowd = Crowd.of(alert)
        (alone if crowd is None else crowds[crowd]).append(alert)
    return alone, crowds


def parted(crowd: Crowd, alerts: list[Alert], at: datetime) -> tuple[list[Alert], list[Alert]]:
    """Part new ones into those that get a message of their own, highest threshold first, and the rest."""
    own_count = crowd.alerts.filter(quiet=False, raised_at__gte=_hour(at)).count()
    room = max(0, OWN_MESSAGES_MAX - own_count)
    ordered = sorted(alerts, key=lambda alert: alert.threshold, reverse=True)
    return ordered[:room], ordered[room:]


def sums(at: datetime) -> Iterator[Alert]:
    """One alert for each crowd and hour that is over, about those that had no message of their own."""
    hour = _hour(at)
    quiet = Alert.objects.filter(quiet=True, raised_at__gte=hour - LATE_MAX, raised_at__lt=hour).order_by()
    counted = quiet.annotate(hour=TruncHour("raised_at", tzinfo=UTC))
    counts: defaultdict[tuple[Crowd, datetime], Counter[int]] = defaultdict(Counter)
    rows = counted.values("organization_id", "kind", "budget_id", "agent_id", "hour", "threshold")
    for row in rows.annotate(count=Count("id")):
        owner = None if row["kind"] in GUARDS else row["agent_id"]
        crowd = Crowd(row["organization_id"], row["kind"], row["budget_id"], owner)
        counts[crowd, row["hour"]][row["threshold"]] += row["count"]
    summed = _summed({crowd.organization_id for crowd, _ in counts}, hour - LATE_MAX)
    for (crowd, began_at), by_threshold in counts.items():
        if (crowd, began_at) not in summed:
            yield _sum(crowd, began_at, by_threshold)


def forget(at: datetime) -> None:
    """Take old rows that had no message of their own away, so that a flood does not stay for good."""
    old = Alert.objects.filter(quiet=True, raised_at__lt=at - KEPT).order_by("raised_at")
    Alert.objects.filter(id__in=list(old.values_list("id", flat=True)[:FORGET_COUNT_MAX])).delete()


def _summed(organization_ids: set[UUID], since_at: datetime) -> set[tuple[Crowd, datetime]]:
    """The crowds and hours that were summed before."""
    told = Alert.objects.filter(
        organization_id__in=organization_ids, kind=AlertKind.MORE, window_start__gte=since_at
    ).values_list("organization_id", "subject", "budget_id", "agent_id", "window_start")
    return {(Crowd(org, kind, budget, agent), began_at) for org, kind, budget, agent, began_at in told if began_at}


def _sum(crowd: Crowd, began_at: datetime, by_threshold: Counter[int]) -> Alert:
    within = crowd.alerts.filter(quiet=True, raised_at__gte=began_at, raised_at__lt=began_at + _HOUR)
    examples = list(within.order_by("-threshold", "id")[:EXAMPLE_COUNT])
    facts = examples[0].facts | {
        "kind": crowd.kind,
        "count": by_threshold.total(),
        "by_threshold": {str(threshold): count for threshold, count in sorted(by_threshold.items())},
        "subjects": [" of ".join(filter(None, _names(alert))) for alert in examples],
    }
    return Alert(
        organization_id=crowd.organization_id, agent_id=crowd.agent_id, kind=AlertKind.MORE,
        budget_id=crowd.budget_id, subject=crowd.kind, window_start=began_at, window_end=began_at + _HOUR, facts=facts,
    )  # fmt: skip


def _names(alert: Alert) -> tuple[str, str]:
    """The subject, and whose it is where that differs within the crowd."""
    return alert.subject, alert.facts["agent"] if alert.kind in GUARDS else ""


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
