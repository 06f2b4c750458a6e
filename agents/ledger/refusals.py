"""Refused calls on their way to the book: some rows each, then one row that counts the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agents.ledger.wire import Row, refusal_row

if TYPE_CHECKING:
    from uuid import UUID

    from agents.ledger.terms import RefusalRow

ROWS_PER_SECOND_MAX = 10  # for each agent and reason
KINDS_MAX = 5_000  # agents × reasons that are remembered while PostgreSQL is away
ASKED_PICO_MAX = 2**62

RECORD = "SELECT ledger_record_refusals(%s::json)"


@dataclass(slots=True)
class _Flood:
    """Like refusals of one agent since the last write."""

    rows: list[RefusalRow] = field(default_factory=list)
    second: int = -1
    in_second: int = 0
    more: RefusalRow | None = None
    more_count: int = 0
    more_pico: int = 0

    def add(self, refusal: RefusalRow, second: int) -> None:
        if second != self.second:
            self.second, self.in_second = second, 0
        self.in_second += 1
        if self.in_second < ROWS_PER_SECOND_MAX and len(self.rows) < 10 * ROWS_PER_SECOND_MAX:
            self.rows.append(refusal)
            return
        self.more = refusal
        self.more_count += 1
        self.more_pico = min(ASKED_PICO_MAX, self.more_pico + refusal.asked_pico)

    def take(self) -> list[Row]:
        rows = [refusal_row(refusal, 1, refusal.asked_pico) for refusal in self.rows]
        if self.more is not None:
            rows.append(refusal_row(self.more, self.more_count, self.more_pico))
        return rows


class Refusals:
    """A bounded memory of refusals; taken and written about once a second."""

    def __init__(self) -> None:
        self._floods: dict[tuple[UUID, str, bool], _Flood] = {}

    def add(self, refusal: RefusalRow, now: float) -> None:
        """Remember a refusal.

        now: seconds of any steady clock.
        """
        key = (refusal.agent_id, refusal.reason, refusal.practice)
        flood = self._floods.get(key)
        if flood is None:
            if len(self._floods) >= KINDS_MAX:
                return  # Refusals cost nothing; losing count of them beats losing the process.
            flood = self._floods[key] = _Flood()
        flood.add(refusal, int(now))

    def take(self) -> list[Row]:
        """Return the rows to write and begin anew."""
        floods, self._floods = self._floods, {}
        return [row for flood in floods.values() for row in flood.take()]
