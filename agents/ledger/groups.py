"""Asks that have all but their amounts in common, and what a flush says of them once for all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agents.ledger.wire import array, array_with_gaps, quoted

if TYPE_CHECKING:
    from agents.ledger.balances import OpenBalance
    from agents.ledger.terms import Ask


@dataclass(slots=True, eq=False)
class Group:
    """Asks of the same agent, versions, balances and limits of their own; they travel and are checked together.

    caps: by budget id, the limits that the asks bring themselves.
    """

    ask: Ask
    balances: tuple[OpenBalance, ...]
    caps: dict[int, int] = field(init=False)
    literal: str = field(init=False)
    _alone: Together | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.caps = dict(self.ask.caps)
        self.balances = tuple(sorted(self.balances, key=lambda balance: balance.id))
        self.literal = quoted(array(balance.id for balance in self.balances))

    def alone(self) -> Together:
        """What a flush says in which nobody else asks; kept, because most flushes are such."""
        if self._alone is None:
            self._alone = together([self])
        return self._alone


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """What a flush says of its groups.

    balances: all that they name, in id order; ids: the same as an array; parameters: from p_caps to p_group_practice.
    """

    balances: tuple[OpenBalance, ...]
    ids: str
    parameters: tuple[str | None, ...]


def together(groups: list[Group]) -> Together:
    """Put the groups of one flush side by side."""
    distinct = {balance.id: balance for group in groups for balance in group.balances}
    balances = tuple(sorted(distinct.values(), key=lambda balance: balance.id))
    place_of = {balance.id: place for place, balance in enumerate(balances, 1)}
    starts = [1]
    for group in groups:
        starts.append(starts[-1] + len(group.balances))
    parameters = (
        _tightest_caps(groups, balances),
        array(group.literal for group in groups),
        array(place_of[balance.id] for group in groups for balance in group.balances),
        _caps(groups),
        array(starts),
        array(group.ask.organization_id for group in groups),
        array(group.ask.agent_id for group in groups),
        array(group.ask.organization_version for group in groups),
        array(group.ask.agent_version for group in groups),
        array(group.ask.practice for group in groups),
    )
    return Together(balances, array(place_of), parameters)


def _caps(groups: list[Group]) -> str | None:
    """Return each group's own limit for each of its balances; None where no group brings any."""
    if not any(group.caps for group in groups):
        return None
    return array_with_gaps(group.caps.get(balance.budget_id) for group in groups for balance in group.balances)


def _tightest_caps(groups: list[Group], balances: tuple[OpenBalance, ...]) -> str | None:
    """Return the tightest limit that any group brings for each balance; None where none brings any."""
    tightest: dict[int, int] = {}
    for group in groups:
        for balance in group.balances if group.caps else ():
            if (cap := group.caps.get(balance.budget_id)) is not None:
                tightest[balance.id] = min(cap, tightest.get(balance.id, cap))
    return array_with_gaps(tightest.get(balance.id) for balance in balances) if tightest else None
