"""What an audit found."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

BREACHES_SHOWN_MAX = 20


@dataclass(slots=True)
class Check:
    """One invariant: how many things were looked at, and what contradicts it."""

    name: str
    claim: str
    examined_count: int = 0
    breaches: list[str] = field(default_factory=list)


@dataclass(slots=True)
class AuditReport:
    """All checks, and facts that are no breach but must be known.

    overrun_pico: what calls cost above their ceilings, in all; the provider has billed it.
    """

    checks: list[Check]
    overrun_pico: int = 0
    overrun_count: int = 0
    running_count: int = 0
    held_pico: int = 0

    @property
    def ok(self) -> bool:
        return not any(check.breaches for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return the report for machines; amounts are whole numbers of pico-dollars."""
        return {"ok": self.ok} | asdict(self)

    def lines(self) -> list[str]:
        """Return the report for people."""
        lines = []
        for check in self.checks:
            lines.append(
                f"{'ok    ' if not check.breaches else 'BREACH'}  {check.claim} ({check.examined_count} examined)"
            )
            lines += [f"        {breach}" for breach in check.breaches[:BREACHES_SHOWN_MAX]]
            if len(check.breaches) > BREACHES_SHOWN_MAX:
                lines.append(f"        and {len(check.breaches) - BREACHES_SHOWN_MAX} more")
        lines.append(f"running calls: {self.running_count}, holding {self.held_pico} pico-dollars")
        lines.append(f"overrun: {self.overrun_count} calls, {self.overrun_pico} pico-dollars above their ceilings")
        return lines
