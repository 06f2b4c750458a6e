"""The call log: pages of the book by keyset, with what is running now on top."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Organization
from agents.days import Period, call_ids
from agents.models import Agent, Call, CallStatus, Reservation

PAGE_SIZE = 50
RUNNING_MAX = 20
LATE_SETTLE = "late_settle"  # the ledger's word for the end of a call that had expired


@dataclass(frozen=True, slots=True)
class Entry:
    """One call as the log shows it: its end, and what later rows corrected."""

    call: Call
    agent_name: str
    corrections: tuple[Call, ...] = ()

    @property
    def cost_pico(self) -> int:
        """What the call cost after every correction."""
        return self.call.cost_pico + sum(row.cost_pico for row in self.corrections)

    @property
    def asked_pico(self) -> int:
        """What the refused calls of this row asked for together."""
        return self.call.held_pico

    @property
    def input_tokens(self) -> int:
        """Every token that was read, cached or not."""
        return sum(
            row.input_tokens + row.cache_read_tokens + row.cache_write_tokens + row.cache_write_long_tokens
            for row in (self.call, *self.corrections)
        )

    @property
    def cache_read_tokens(self) -> int:
        return sum(row.cache_read_tokens for row in (self.call, *self.corrections))

    @property
    def output_tokens(self) -> int:
        return sum(row.output_tokens for row in (self.call, *self.corrections))

    @property
    def used(self) -> Call:
        """The row that has the usage: the late settlement of an expired call, else its end."""
        late = [row for row in self.corrections if row.reason == LATE_SETTLE]
        return late[-1] if late else self.call

    @property
    def used_cost_pico(self) -> int:
        """What the usage that is shown was priced at; a late settlement carries only the difference."""
        return self.call.cost_pico if self.used is self.call else self.cost_pico

    @property
    def is_refused(self) -> bool:
        return self.call.status == CallStatus.REFUSED

    @property
    def is_cached(self) -> bool:
        return self.call.status == CallStatus.CACHED

    @property
    def saved_pico(self) -> int:
        """What the answers of this row had cost when they were made; 0 where none came from the cache."""
        saved = (self.call.facts or {}).get("saved_pico", 0) if self.is_cached else 0
        return saved if isinstance(saved, int) else 0

    @property
    def words(self) -> str:
        """The state in words; colours only repeat it."""
        if self.call.failed and not self.is_refused:
            return "Failed"
        return CallStatus(self.call.status).label

    @property
    def tone(self) -> str:
        if self.is_refused:
            return "bad"
        if self.call.failed or self.call.status == CallStatus.EXPIRED:
            return "warn"
        if self.is_cached:
            return "info"
        return "good" if self.call.status == CallStatus.SETTLED else "idle"


@dataclass(frozen=True, slots=True)
class Running:
    """A call in flight: what it holds and what it asked for."""

    call_id: UUID
    agent_name: str
    provider: str
    model: str
    session: str
    user_subject: str
    reserved_at: datetime
    held_pico: int


@dataclass(frozen=True, slots=True)
class CallPage:
    """A page of the log; `next_before` is the cursor of the page after it."""

    entries: list[Entry]
    next_before: UUID | None


def rows_between(organization: Organization, period: Period) -> QuerySet[Call]:
    """The ends of calls in a period, practice calls included, newest first; partitions outside it are not read."""
    first_id, last_id = call_ids(period)
    return Call.objects.filter(
        organization_id=organization.id, seq=0, call_id__gte=first_id, call_id__lte=last_id,
        reserved_at__gte=period.start_at, reserved_at__lt=period.end_at,
    ).order_by("-call_id")  # fmt: skip


def page_of(organization: Organization, rows: QuerySet[Call], before: UUID | None, size: int = PAGE_SIZE) -> CallPage:
    """The newest rows below a cursor; one more is read to know whether there are others."""
    if before is not None:
        rows = rows.filter(call_id__lt=before)
    found = list(rows[: size + 1])
    shown = found[:size]
    return CallPage(
        entries=entries_of(organization, shown),
        next_before=shown[-1].call_id if len(found) > size else None,
    )


def entries_of(organization: Organization, calls: Sequence[Call]) -> list[Entry]:
    """Put names and corrections beside calls, in two queries."""
    names = _names(organization, {call.agent_id for call in calls})
    corrections = _corrections(organization, [call.call_id for call in calls])
    return [Entry(call, names[call.agent_id], tuple(corrections[call.call_id])) for call in calls]


def running(organization: Organization, agent_id: UUID | None = None) -> list[Running]:
    """The youngest calls in flight."""
    holds = Reservation.objects.filter(organization_id=organization.id)
    if agent_id is not None:
        holds = holds.filter(agent_id=agent_id)
    found = list(holds.order_by("-reserved_at")[:RUNNING_MAX])
    names = _names(organization, {hold.agent_id for hold in found})
    return [_running(hold, names[hold.agent_id]) for hold in found]


def find(organization: Organization, call_id: UUID) -> Entry | None:
    """One call of this organisation with its corrections; none when it is running, unknown or another's."""
    rows = list(Call.objects.filter(organization_id=organization.id, call_id=call_id).order_by("seq"))
    ends = [row for row in rows if row.seq == 0]
    if not ends:
        return None
    names = _names(organization, {ends[0].agent_id})
    corrections = tuple(row for row in rows if row.seq > 0)
    return Entry(ends[0], names[ends[0].agent_id], corrections)


def find_running(organization: Organization, call_id: UUID) -> Running | None:
    """A call of this organisation that is in flight."""
    hold = Reservation.objects.filter(organization_id=organization.id, call_id=call_id).first()
    if hold is None:
        return None
    return _running(hold, _names(organization, {hold.agent_id})[hold.agent_id])


def has_any(organization: Organization) -> bool:
    """Whether the organisation ever had a call."""
    return Call.objects.filter(organization_id=organization.id).order_by("-call_id").values("call_id")[:1].exists()


def _running(hold: Reservation, agent_name: str) -> Running:
    start = hold.start
    return Running(
        call_id=hold.call_id, agent_name=agent_name, reserved_at=hold.reserved_at, held_pico=hold.usd_pico,
        provider=start.get("provider", ""), model=start.get("model", ""), session=start.get("session", ""),
        user_subject=start.get("user_subject", ""),
    )  # fmt: skip


def _names(organization: Organization, agent_ids: Iterable[UUID]) -> defaultdict[UUID, str]:
    """The agents' names; a row of the book outlives its agent."""
    known = Agent.objects.for_org(organization).filter(id__in=list(agent_ids)).values_list("id", "name")
    return defaultdict(lambda: "Deleted agent", known)


def _corrections(organization: Organization, call_ids: Sequence[UUID]) -> defaultdict[UUID, list[Call]]:
    found: defaultdict[UUID, list[Call]] = defaultdict(list)
    if call_ids:
        # The bounds prune partitions, which a list of ids alone does not.
        rows = Call.objects.filter(
            organization_id=organization.id, call_id__in=call_ids, call_id__gte=min(call_ids),
            call_id__lte=max(call_ids), seq__gt=0,
        )  # fmt: skip
        for row in rows.order_by("seq"):
            found[row.call_id].append(row)
    return found
