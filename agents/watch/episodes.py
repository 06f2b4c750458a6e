"""What rules see goes on for minutes or days; people are told once for each episode of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from agents.models import Agent, GuardEvent, GuardRule, RuleMode

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_MINUTE_SECONDS = 60
_OLDEST = timedelta(days=41)
_LAST = "last_at"  # of an event's facts: until when its episode was seen


type Key = tuple[UUID, str, str, str]  # agent, rule, session, mode


@dataclass(frozen=True, slots=True)
class Patience:
    """quiet: an episode is over when nothing was seen for so long. again: one that goes on is told again after this."""

    quiet: timedelta
    again: timedelta


_USUAL = Patience(quiet=_HOUR, again=_DAY)
_PATIENCE = {
    GuardRule.BUSY: Patience(quiet=_HOUR, again=7 * _DAY),  # some agents work day and night, and are meant to
    GuardRule.SESSION: Patience(quiet=40 * _DAY, again=40 * _DAY),  # calls of a session only become more
    GuardRule.WINDOWS: Patience(quiet=timedelta(), again=timedelta()),  # each window that is used up is told
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A rule has seen something.

    began_at: when that began; last_at: the call that shows it; facts: the numbers behind it, for people.
    mode: what is done about it; until_at: the end of the block, where it has one.
    """

    agent: Agent
    rule: GuardRule
    began_at: datetime
    last_at: datetime
    session: str = ""
    facts: dict[str, object] = field(default_factory=dict)
    mode: RuleMode = RuleMode.WARN
    until_at: datetime | None = None

    @property
    def key(self) -> Key:
        return (self.agent.id, self.rule, self.session, self.mode)

    def event(self) -> GuardEvent:
        """The row of an episode that begins with this."""
        return GuardEvent(
            organization_id=self.agent.organization_id, agent=self.agent, rule=self.rule, session=self.session,
            mode=self.mode, until_at=self.until_at,
            episode_at=_minute(self.began_at), facts=self.facts | {_LAST: self.last_at.isoformat()},
        )  # fmt: skip


def goes_on(began_at: datetime, last_at: datetime, sighting: Sighting) -> bool:
    """Whether what is seen belongs to an episode that began and was last seen then."""
    patience = _PATIENCE.get(sighting.rule, _USUAL)
    return sighting.last_at - last_at <= patience.quiet and sighting.last_at - began_at < patience.again


def note(sightings: Iterable[Sighting]) -> int:
    """Write an event for each new episode, and until when known ones go on; return how many are new."""
    seen = list(sightings)
    known = _latest(seen)
    longer: list[GuardEvent] = []
    fresh: list[GuardEvent] = []
    for one in seen:
        event = known.get(one.key)
        if event is None or not goes_on(event.episode_at, _last_at(event), one):
            fresh.append(one.event())
        elif one.last_at > _last_at(event):
            event.facts[_LAST] = one.last_at.isoformat()
            longer.append(event)
    GuardEvent.objects.bulk_update(longer, ["facts"], batch_size=500)
    GuardEvent.objects.bulk_create(fresh, batch_size=500, ignore_conflicts=True)
    return GuardEvent.objects.filter(id__in=[event.id for event in fresh]).count()


def _latest(sightings: Sequence[Sighting]) -> dict[Key, GuardEvent]:
    """The last episode of each agent, rule, session and mode that was seen now."""
    if not sightings:
        return {}
    events = GuardEvent.objects.filter(
        agent__in={one.agent.id for one in sightings}, rule__in={one.rule for one in sightings},
        session__in={one.session for one in sightings},
        episode_at__gt=min(one.last_at for one in sightings) - _OLDEST,
    )  # fmt: skip
    return {(event.agent_id, event.rule, event.session, event.mode): event for event in events.order_by("episode_at")}


def _last_at(event: GuardEvent) -> datetime:
    last_at = event.facts.get(_LAST)
    return event.episode_at if last_at is None else datetime.fromisoformat(last_at)


def _minute(at: datetime) -> datetime:
    return at - timedelta(seconds=at.timestamp() % _MINUTE_SECONDS)
