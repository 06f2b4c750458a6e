"""How the windows of budgets stand: their balances, and the calls that they refused."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, Func, IntegerField, Q, QuerySet

from agents.models import Balance, Budget
from agents.reports.days import Period
from alerts.raising.refusals import Place, Refused, refusals

# A threshold that was crossed in the last seconds of a window, or while nothing ran, is told afterwards.
LATE_MAX = timedelta(hours=6)

type Key = tuple[int, str, datetime]  # budget, subject, start of the window


@dataclass(frozen=True, slots=True)
class Standing:
    """One window of a budget with a limit, and the call that it refused lately, if any."""

    balance: Balance
    limit: int
    refused: Refused | None

    @property
    def budget(self) -> Budget:
        return self.balance.budget

    @property
    def spent(self) -> int:
        return self.balance.spent

    @property
    def key(self) -> Key:
        return (self.balance.budget_id, self.balance.subject, self.balance.window_start)


def standings(at: datetime, since_at: datetime) -> list[Standing]:
    """Windows that reached a threshold or refused a call; practice balances are left out.

    since_at: refusals that ended earlier were dealt with.
    """
    refused = refusals(Period(since_at, at))
    balances = {balance.id: balance for balance in _that_refused(refused)}
    balances |= {balance.id: balance for balance in _that_reached(at)}
    return [_standing(balance, refused.get(Place.of_balance(balance))) for balance in balances.values()]


def _standing(balance: Balance, refused: Refused | None) -> Standing:
    limit = balance.budget.limit or 0
    # A refusal of a limit that was edited since is dropped: the edit answered it.
    return Standing(balance, limit, refused if refused is not None and refused.limit == limit else None)


def _that_reached(at: datetime) -> QuerySet[Balance]:
    """Balances of running and just ended windows that reached their lowest threshold."""
    lowest = Func(
        F("budget__thresholds"),
        template="(SELECT min(one) FROM unnest(%(expressions)s) AS one)",
        output_field=IntegerField(),
    )
    # Divided first: a limit times a hundred leaves 64 bits. What that lets in too many, the exact rule sorts out.
    return _limited().filter(
        Q(window_end=None) | Q(window_end__gt=at - LATE_MAX),
        window_start__lte=at, spent__gte=F("budget__limit") / 100 * lowest,
    )  # fmt: skip


def _that_refused(refused: Mapping[Place, Refused]) -> Iterable[Balance]:
    """The balances of places where calls were refused, whatever is spent there."""
    if not refused:
        return []
    ends = Q(window_end__in={place.window_end for place in refused})
    if any(place.window_end is None for place in refused):
        ends |= Q(window_end=None)
    near = _limited().filter(ends, budget__organization_id__in={place.organization_id for place in refused})
    return [balance for balance in near if Place.of_balance(balance) in refused]


def _limited() -> QuerySet[Balance]:
    live = Balance.objects.filter(practice=False, budget__ended_at=None, budget__limit__gt=0)
    return live.select_related("budget__organization", "budget__agent")
