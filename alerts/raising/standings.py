"""How the windows of budgets stand: their balances, and the calls that they refused."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Func, IntegerField, Q
from django.utils.dateparse import parse_datetime

from agents.models import Balance, Budget, Call, CallStatus
from agents.reports.days import Period, call_ids
from alerts.thresholds import refusal_means_used_up

# A threshold that was crossed in the last seconds of a window, or while nothing ran, is told afterwards.
LATE_MAX = timedelta(hours=6)

type Key = tuple[int, str, datetime]  # budget, subject, start of the window


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that a budget could not cover, with the budget's numbers of that moment, in its unit."""

    call_id: UUID
    agent_id: UUID
    limit: int
    spent: int
    asked: int
    window_end: datetime | None

    @property
    def means_used_up(self) -> bool:
        """Whether it counts as 100 %, rather than as a call too large for what is left."""
        return refusal_means_used_up(self.spent, self.limit)


@dataclass(frozen=True, slots=True)
class Standing:
    """One window of a budget with a limit."""

    budget: Budget
    limit: int
    subject: str
    window_start: datetime
    window_end: datetime | None
    spent: int
    balance_id: int | None
    refusal: Refusal | None

    @property
    def key(self) -> Key:
        return (self.budget.id, self.subject, self.window_start)


def standings(at: datetime, since_at: datetime) -> list[Standing]:
    """Windows that reached a threshold or refused a call; practice balances are left out.

    since_at: refusals that ended earlier were dealt with.
    """
    refusals = _refusals(Period(since_at, at))
    standing = [_of_balance(balance, refusals.pop(_key(balance), None)) for balance in _balances(at)]
    return standing + list(_of_refusals(refusals))


def _balances(at: datetime) -> Iterable[Balance]:
    """Balances of running and just ended windows that reached their lowest threshold."""
    lowest = Func(
        F("budget__thresholds"),
        template="(SELECT min(one) FROM unnest(%(expressions)s) AS one)",
        output_field=IntegerField(),
    )
    # Divided first: a limit times a hundred leaves 64 bits. What that lets in too many, the exact rule sorts out.
    return Balance.objects.filter(
        Q(window_end=None) | Q(window_end__gt=at - LATE_MAX),
        practice=False, window_start__lte=at, budget__ended_at=None, budget__limit__gt=0,
        spent__gte=F("budget__limit") / 100 * lowest,
    ).select_related("budget__organization", "budget__agent")  # fmt: skip


def _of_balance(balance: Balance, refusal: Refusal | None) -> Standing:
    return Standing(
        budget=balance.budget, limit=balance.budget.limit or 0, subject=balance.subject,
        window_start=balance.window_start, window_end=balance.window_end, spent=balance.spent,
        balance_id=balance.id, refusal=_current(refusal, balance.budget),
    )  # fmt: skip


def _of_refusals(refusals: dict[Key, Refusal]) -> Iterable[Standing]:
    """Windows that refused a call below their lowest threshold."""
    budgets = Budget.objects.select_related("organization", "agent").filter(ended_at=None, limit__gt=0)
    known = budgets.in_bulk({budget_id for budget_id, _, _ in refusals})
    for (budget_id, subject, window_start), refusal in refusals.items():
        budget = known.get(budget_id)
        if budget is not None and _current(refusal, budget):
            yield Standing(
                budget=budget, limit=refusal.limit, subject=subject, window_start=window_start,
                window_end=refusal.window_end, spent=refusal.spent, balance_id=None, refusal=refusal,
            )  # fmt: skip


def _current(refusal: Refusal | None, budget: Budget) -> Refusal | None:
    """Drop a refusal of a limit that was edited since: the edit answered it."""
    return refusal if refusal is not None and refusal.limit == budget.limit else None


def _refusals(period: Period) -> dict[Key, Refusal]:
    """The first refusal of each window, or the first that means "used up" where there is one."""
    first_id, last_id = call_ids(period)
    rows = Call.objects.filter(
        call_id__gte=first_id, call_id__lte=last_id, ended_at__gte=period.start_at,
        status=CallStatus.REFUSED, reason="budget_exceeded", practice=False, facts__has_key="budget_id",
    ).order_by("ended_at")  # fmt: skip
    found: dict[Key, Refusal] = {}
    for call_id, agent_id, facts in rows.values_list("call_id", "agent_id", "facts").iterator():
        key, refusal = _read(call_id, agent_id, facts or {})
        known = found.setdefault(key, refusal)
        # A later limit replaces an earlier one: only refusals of the limit in force count.
        if refusal.limit != known.limit or (refusal.means_used_up and not known.means_used_up):
            found[key] = refusal
    return found


def _read(call_id: UUID, agent_id: UUID, facts: dict[str, object]) -> tuple[Key, Refusal]:
    start, end = parse_datetime(str(facts["window_start"])), parse_datetime(str(facts.get("window_end") or ""))
    assert start is not None, f"refusal without a window: {call_id}"
    refusal = Refusal(
        call_id, agent_id, limit=_whole(facts["limit"]), spent=_whole(facts["spent"]), asked=_whole(facts["asked"]),
        window_end=end,
    )  # fmt: skip
    return (_whole(facts["budget_id"]), str(facts.get("subject") or ""), start), refusal


def _whole(value: object) -> int:
    assert isinstance(value, int), f"not a whole number: {value!r}"
    return value


def _key(balance: Balance) -> Key:
    return (balance.budget_id, balance.subject, balance.window_start)
