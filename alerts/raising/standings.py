"""How the windows of budgets stand: their balances, and the calls that they refused."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Func, IntegerField, Q, QuerySet

from agents.days import Period
from agents.models import Balance, Budget, Unit, Window
from agents.reports.rolling import Rolling, rolling
from agents.windows import window_of
from alerts.raising.movements import moved_balances
from alerts.raising.refusals import Place, Refused, refusals

# A threshold that was crossed in the last seconds of a window, or while nothing ran, is told afterwards.
LATE_MAX = timedelta(hours=6)

type Key = tuple[int, str, datetime | None]  # budget, subject, start of the window; none for rolling days


@dataclass(frozen=True, slots=True)
class Standing:
    """One window of a budget with a limit, and the call that it refused lately, if any.

    limit, spent: in the budget's unit; what was topped up is part of the limit.
    window_start: of a rolling budget the organisation's day, for what is told once a day.
    room_at: when the oldest hour of a rolling budget leaves.
    """

    balance: Balance
    limit: int
    spent: int
    window_start: datetime
    refused: Refused | None
    room_at: datetime | None = None

    @property
    def budget(self) -> Budget:
        return self.balance.budget

    @property
    def is_rolling(self) -> bool:
        return self.budget.window == Window.ROLLING

    @property
    def key(self) -> Key:
        return (self.balance.budget_id, self.balance.subject, None if self.is_rolling else self.window_start)


def standings(at: datetime, since_at: datetime) -> list[Standing]:
    """Windows that reached a threshold or refused a call; practice balances are left out.

    since_at: refusals and calls that ended earlier were dealt with.
    """
    refused = refusals(Period(since_at, at))
    balances = {balance.id: balance for balance in _that_refused(refused)}
    balances |= {balance.id: balance for balance in _that_reached(at)}
    balances |= {balance.id: balance for balance in _subjects_that_reached(at, max(since_at, at - LATE_MAX))}
    rolls = rolling([one.id for one in balances.values() if one.budget.window == Window.ROLLING], at)
    return [
        _standing(balance, rolls.get(balance.id), refused.get(Place.of_balance(balance)), at)
        for balance in balances.values()
    ]


def _standing(balance: Balance, roll: Rolling | None, refused: Refused | None, at: datetime) -> Standing:
    limit = (balance.budget.limit or 0) + balance.extra
    # A refusal of a limit that was edited since is dropped: the edit answered it.
    answered = refused is not None and refused.limit != limit
    refused = None if answered else refused
    if roll is None:
        return Standing(balance, limit, balance.spent, balance.window_start, refused)
    day = window_of(Window.DAY, balance.budget.organization.time_zone, at)
    return Standing(balance, limit, roll.spent, day.start, refused, roll.room_at)


def _that_reached(at: datetime) -> QuerySet[Balance]:
    """Balances of running and just ended windows that reached their lowest threshold, subjects left out."""
    return _reaching(_limited().filter(subject="")).filter(
        Q(window_end=None) | Q(window_end__gt=at - LATE_MAX), window_start__lte=at
    )


def _subjects_that_reached(at: datetime, since_at: datetime) -> QuerySet[Balance]:
    """The same of sessions, users, models and sub-agents whose calls ended since.

    There are very many of them and most are at rest, so only those that moved are looked at.
    """
    return _reaching(_limited().filter(id__in=moved_balances(Period(since_at, at))))


def _reaching(balances: QuerySet[Balance]) -> QuerySet[Balance]:
    """Those that reached their lowest threshold, and some more: the exact rule sorts them out."""
    lowest = Func(
        F("budget__thresholds"),
        template="(SELECT min(one) FROM unnest(%(expressions)s) AS one)",
        output_field=IntegerField(),
    )
    # Divided first: a limit times a hundred leaves 64 bits. A rolling day is never more than what was spent in all.
    return balances.filter(spent__gte=F("budget__limit") / 100 * lowest)


def _that_refused(refused: Mapping[Place, Refused]) -> Iterable[Balance]:
    """The balances of places where calls were refused, whatever is spent there."""
    if not refused:
        return []
    ends = Q(window_end__in={place.window_end for place in refused})
    if any(place.window_end is None for place in refused):
        ends |= Q(window_end=None)
    near = _limited().filter(
        ends, budget__organization_id__in={place.organization_id for place in refused},
        subject__in={"", *(place.name for place in refused)},
    )  # fmt: skip
    return [balance for balance in near if Place.of_balance(balance) in refused]


def _limited() -> QuerySet[Balance]:
    """Calls at a time are held and never spent, so there is nothing to tell of them."""
    live = Balance.objects.filter(practice=False, budget__ended_at=None, budget__limit__gt=0)
    return live.exclude(budget__unit=Unit.PARALLEL).select_related("budget__organization", "budget__agent")
