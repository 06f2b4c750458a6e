"""Calls that budgets could not cover, as the book keeps them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.dateparse import parse_datetime

from agents.days import Period, call_ids
from agents.models import Balance, Call, CallStatus, Scope, Unit, Window
from agents.money import parse_usd
from alerts.thresholds import refusal_means_used_up

_FACTS = ["scope", "name", "unit", "window", "limit", "spent", "asked", "resets_at"]
_OF_THE_ORGANIZATION = frozenset({Scope.ORGANIZATION, Scope.USER})
_WHOLE = frozenset({Scope.ORGANIZATION, Scope.AGENT})  # there the name is the organisation's or the agent's own

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a refusal happened: one window of one budget, in the words of the refusal."""

    organization_id: UUID
    agent_id: UUID | None  # none for the organisation's budgets
    scope: str
    unit: str
    window: str
    name: str  # the session, user, model or sub-agent; empty where the budget is for the whole
    window_end: datetime | None  # none for rolling days, whose room comes back hour by hour

    @classmethod
    def of_balance(cls, balance: Balance) -> "Place":
        """The place that a balance stands for."""
        budget = balance.budget
        return cls(
            organization_id=budget.organization_id, agent_id=budget.agent_id, scope=budget.scope, unit=budget.unit,
            window=budget.window, name=budget.scope_name or balance.subject, window_end=balance.window_end,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that a budget could not cover, with the budget's numbers of that moment, in its unit."""

    call_id: UUID
    limit: int
    spent: int
    asked: int

    @property
    def means_used_up(self) -> bool:
        """Whether it counts as 100 %, rather than as a call too large for what is left."""
        return refusal_means_used_up(self.spent, self.limit)


def refusals(period: Period) -> dict[Place, Refused]:
    """The first refusal of each place under its last limit, or the first that means "used up" where there is one.

    period: when they ended, by the database's clock.
    """
    first_id, last_id = call_ids(period)
    rows = Call.objects.filter(
        call_id__gte=first_id, call_id__lte=last_id, ended_at__gte=period.start_at, status=CallStatus.REFUSED,
        reason="budget_exceeded", practice=False, facts__has_keys=_FACTS,
    ).order_by("ended_at")  # fmt: skip
    found: dict[Place, Refused] = {}
    for row in rows.values("call_id", "organization_id", "agent_id", "facts").iterator():
        try:
            places, refused = _places(row), _refused(row)
        except (ValueError, TypeError):
            # Facts are free JSON: one odd row must not keep everybody's alerts from being raised.
            log.warning("refusal not understood", extra={"call_id": str(row["call_id"])})
            continue
        for place in places:
            known = found.setdefault(place, refused)
            if refused.limit != known.limit or (refused.means_used_up and not known.means_used_up):
                found[place] = refused
    return found


def _places(row: Mapping[str, Any]) -> list[Place]:
    """Where a refusal may have happened: it does not say whether a budget per session is the agent's or spans all."""
    facts = row["facts"]
    scope, window = facts["scope"], facts["window"]
    agents = [None] if scope in _OF_THE_ORGANIZATION else [row["agent_id"]]
    if scope == Scope.SESSION:
        agents.append(None)
    name = "" if scope in _WHOLE else str(facts["name"])
    ends = facts["resets_at"] and window != Window.ROLLING
    window_end = parse_datetime(facts["resets_at"]) if ends else None
    return [
        Place(
            organization_id=row["organization_id"], agent_id=agent_id, scope=scope, unit=facts["unit"], window=window,
            name=name, window_end=window_end,
        )
        for agent_id in agents
    ]  # fmt: skip


def _refused(row: Mapping[str, Any]) -> Refused:
    facts = row["facts"]
    limit, spent, asked = (_whole(facts[name], facts["unit"]) for name in ("limit", "spent", "asked"))
    return Refused(row["call_id"], limit, spent, asked)


def _whole(exact: object, unit: str) -> int:
    """An exact amount of a refusal in the budget's unit: dollars are written as decimals."""
    return parse_usd(str(exact)) if unit == Unit.USD else int(str(exact))
