"""An agent that uses its daily budget up several days running (B8 c)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from agents.models import Balance, Budget, GuardRule, RuleMode, Scope, Unit, Window
from agents.watch.active import Active, Watched
from agents.watch.episodes import Sighting
from agents.watch.limits import is_near, limit_at, was_refused

RUNNING = 3
LOOK_BACK = timedelta(days=9)


@dataclass(frozen=True, slots=True)
class Day:
    """A window of a daily budget: what was spent of which limit, in pico-dollars, and whether it refused a call."""

    start_at: datetime
    end_at: datetime
    is_used_up: bool


def sightings(seen: Active) -> list[Sighting]:
    """Agents that called just now, in vain perhaps, and have used their daily budget up today and the days before."""
    watched = {one.agent.id: one for one in seen.agents if one.guards.windows_mode != RuleMode.OFF}
    found = []
    for budget, balances in _near(watched, seen.at):
        assert budget.agent_id is not None
        days = [_day(budget, balance) for balance in balances]
        count = running(days)
        if count >= RUNNING:
            found.append(_sighting(watched[budget.agent_id], days[0], count, seen.at))
    return found


def running(days: Sequence[Day]) -> int:
    """How many windows running were used up, the newest first; a day without a call in between ends it."""
    count = 0
    for day in days:
        if not day.is_used_up or (count and day.end_at != days[count - 1].start_at):
            break
        count += 1
    return count


def _sighting(one: Watched, today: Day, count: int, at: datetime) -> Sighting:
    mode = RuleMode(one.guards.windows_mode)
    cool_down = timedelta(minutes=one.guards.cool_down_minutes)
    return Sighting(
        agent=one.agent, rule=GuardRule.WINDOWS, began_at=today.start_at, last_at=at, facts={"windows": count},
        mode=mode, until_at=at + cool_down if mode == RuleMode.BLOCK else None,
    )  # fmt: skip


def _near(agent_ids: Iterable[object], at: datetime) -> list[tuple[Budget, list[Balance]]]:
    """Daily budgets with little left today, and their windows of the last days, newest first."""
    budgets = Budget.objects.filter(
        agent__in=list(agent_ids), scope=Scope.AGENT, scope_name="", unit=Unit.USD, window=Window.DAY, ended_at=None,
        limit__gt=0,
    )  # fmt: skip
    windows = Balance.objects.filter(subject="", practice=False, window_start__lte=at).select_related("budget")
    today = windows.filter(budget__in=budgets, window_end__gt=at)
    near = {one.budget_id: one.budget for one in today if is_near(one.spent, (one.budget.limit or 0) + one.extra)}
    by_budget: dict[int, list[Balance]] = {}
    past = windows.filter(budget__in=near, window_start__gt=at - LOOK_BACK)
    for balance in past.order_by("-window_start"):
        by_budget.setdefault(balance.budget_id, []).append(balance)
    return [(near[budget_id], balances) for budget_id, balances in by_budget.items()]


def _day(budget: Budget, balance: Balance) -> Day:
    assert balance.window_end is not None, "a day ends"
    limit = limit_at(budget, balance.window_end)
    used_up = False
    if limit is not None and limit > 0:
        limit += balance.extra
        used_up = balance.spent >= limit or (
            is_near(balance.spent, limit) and was_refused(budget, balance.window_start, balance.window_end)
        )
    return Day(balance.window_start, balance.window_end, used_up)
