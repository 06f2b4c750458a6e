"""Calls that held nothing (refused, cached) on their way to the book: some rows each, then one that counts the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agents.ledger.terms import RefusalRow
from agents.ledger.wire import Row, cached_row, refusal_row

if TYPE_CHECKING:
    from uuid import UUID

    from agents.ledger.terms import CachedRow

ROWS_PER_SECOND_MAX = 10  # for each agent and reason
CACHED_PER_SECOND_MAX = 1_000  # for each agent: answers are told one by one for as long as that is bearable
SECONDS_MAX = 10  # so many full seconds are kept in rows while PostgreSQL is away
KINDS_MAX = 5_000  # agents × reasons that are remembered while PostgreSQL is away
PICO_MAX = 2**62

RECORD = "SELECT ledger_record_refusals(%s::json)"


@dataclass(slots=True)
class _Flood:
    """Like calls of one agent since the last write.

    per_second_max: rows of their own; the rest of a second is counted.
    """

    per_second_max: int
    rows: list[RefusalRow | CachedRow] = field(default_factory=list)
    second: int = -1
    in_second: int = 0
    more: RefusalRow | CachedRow | None = None
    more_count: int = 0
    more_pico: int = 0

    def add(self, call: RefusalRow | CachedRow, second: int) -> None:
        if second != self.second:
            self.second, self.in_second = second, 0
        self.in_second += 1
        if self.in_second < self.per_second_max and len(self.rows) < SECONDS_MAX * self.per_second_max:
            self.rows.append(call)
            return
        self.more = call
        self.more_count += 1
        self.more_pico = min(PICO_MAX, self.more_pico + _pico_of(call))

    def take(self) -> list[Row]:
        rows = [_row(call, 1, _pico_of(call)) for call in self.rows]
        if self.more is not None:
            rows.append(_row(self.more, self.more_count, self.more_pico))
        return rows


class Refusals:
    """A bounded memory of calls that held nothing; taken and written twice a second."""

    def __init__(self) -> None:
        self._floods: dict[tuple[UUID, str, bool], _Flood] = {}

    def add(self, call: RefusalRow | CachedRow, now: float) -> None:
        """Remember a call.

        now: seconds of any steady clock.
        """
        key, per_second_max = _kind(call)
        flood = self._floods.get(key)
        if flood is None:
            if len(self._floods) >= KINDS_MAX:
                return  # They cost nothing; losing count of them beats losing the process.
            flood = self._floods[key] = _Flood(per_second_max)
        flood.add(call, int(now))

    def take(self) -> list[Row]:
        """Return the rows to write and begin anew."""
        floods, self._floods = self._floods, {}
        return [row for flood in floods.values() for row in flood.take()]


def _kind(call: RefusalRow | CachedRow) -> tuple[tuple[UUID, str, bool], int]:
    """What the call is like, and how many like it get rows of their own in a second."""
    if isinstance(call, RefusalRow):
        return (call.agent_id, call.reason, call.practice), ROWS_PER_SECOND_MAX
    return (call.agent_id, "", False), CACHED_PER_SECOND_MAX


def _pico_of(call: RefusalRow | CachedRow) -> int:
    """What a refused call asked for, or what a cached answer saved."""
    return call.asked_pico if isinstance(call, RefusalRow) else call.saved_pico


def _row(call: RefusalRow | CachedRow, repeat_count: int, pico: int) -> Row:
    if isinstance(call, RefusalRow):
        return refusal_row(call, repeat_count, pico)
    return cached_row(call, repeat_count, pico)
