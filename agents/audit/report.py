"""What an audit found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

DIFFERENCES_SHOWN_MAX = 20
# A flood of them (a price version that is lost, say) must not fill the memory.
DIFFERENCES_KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that contradicts an invariant.

    organization_id: whom it concerns; None where that cannot be told.
    key: stays the same while the difference does, though amounts that it stands between move on.
    """

    sentence: str
    organization_id: UUID | None = None
    key: str = ""


@dataclass(slots=True)
class Check:
    """One invariant: how many things were looked at, and what contradicts it."""

    name: str
    claim: str
    examined_count: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, sentence: str, organization_id: UUID | None = None, key: str = "") -> None:
        """Keep a difference, unless there are very many already."""
        if len(self.differences) < DIFFERENCES_KEPT_MAX:
            self.differences.append(Difference(sentence, organization_id, key))

    @property
    def breaches(self) -> list[str]:
        """The differences as sentences."""
        return [difference.sentence for difference in self.differences]


@dataclass(slots=True, kw_only=True)
class AuditReport:
    """All checks, and facts that are no breach but must be known.

    at: the moment that the audit saw, by the database's clock.
    read_count: rows of the book that were read for it; remembered_count: those of which earlier runs kept the sums;
    gone_day_count: days of which only those sums are left, because their rows were dropped.
    overrun_pico: what calls cost above their ceilings, in all; the provider has billed it.
    """

    at: datetime
    checks: list[Check]
    read_count: int = 0
    remembered_count: int = 0
    gone_day_count: int = 0
    overrun_pico: int = 0
    overrun_count: int = 0
    running_count: int = 0
    held_pico: int = 0

    @property
    def ok(self) -> bool:
        return not any(check.differences for check in self.checks)

    def differences(self) -> list[Difference]:
        """Every difference, each with a key of its own."""
        return [
            Difference(one.sentence, one.organization_id, f"{check.name}: {one.key or one.sentence}")
            for check in self.checks
            for one in check.differences
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the report for machines; amounts are whole numbers of pico-dollars."""
        checks = [
            {"name": check.name, "claim": check.claim, "examined_count": check.examined_count,
             "breaches": check.breaches}
            for check in self.checks
        ]  # fmt: skip
        return {"ok": self.ok} | asdict(self) | {"checks": checks}

    def lines(self) -> list[str]:
        """Return the report for people."""
        lines = [line for check in self.checks for line in _lines_of(check)]
        lines.append(f"rows of the book: {self.read_count} read, {self.remembered_count} remembered from earlier runs")
        if self.gone_day_count:
            lines.append(f"days of which only sums are left: {self.gone_day_count}")
        lines.append(f"running calls: {self.running_count}, holding {self.held_pico} pico-dollars")
        lines.append(f"overrun: {self.overrun_count} calls, {self.overrun_pico} pico-dollars above their ceilings")
        return lines


def _lines_of(check: Check) -> list[str]:
    word = "BREACH" if check.differences else "ok    "
    lines = [f"{word}  {check.claim} ({check.examined_count} examined)"]
    lines += [f"        {sentence}" for sentence in check.breaches[:DIFFERENCES_SHOWN_MAX]]
    if (hidden_count := len(check.differences) - DIFFERENCES_SHOWN_MAX) > 0:
        at_least = "at least " if len(check.differences) == DIFFERENCES_KEPT_MAX else ""
        lines.append(f"        and {at_least}{hidden_count} more")
    return lines
