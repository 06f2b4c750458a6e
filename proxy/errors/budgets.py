"""What every refusal carries, and those of budgets with their amounts."""

from dataclasses import dataclass, fields
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from agents.money import usd_display, usd_exact


@dataclass(eq=False, kw_only=True)
class Refusal(Exception):
    """A call that is answered by us and not by a provider.

    hint: what the caller can do, as one sentence; empty where the row's own sentence says it.
    param: the request field at fault, for the error bodies that have a place for it.
    retry_after_seconds: only for reasons whose row allows a time.
    beside: further headers of the answer, of a call that was admitted before it failed (docs/proxy.md).
    ends_connection: what follows on it cannot be told from a body that was not read.
    """

    reason: ClassVar[str]
    ends_connection: ClassVar[bool] = False
    hint: str = ""
    param: str | None = None
    retry_after_seconds: int | None = None
    beside: tuple[tuple[bytes, bytes], ...] = ()

    def words(self) -> dict[str, str]:
        """The facts as the words of the row's sentence."""
        return {field.name: str(getattr(self, field.name) or "") for field in fields(self)}

    def facts(self) -> dict[str, str | None]:
        """The facts of the `awx` object beyond reason, call_id and hint; amounts are exact strings."""
        return {}

    @property
    def should_retry(self) -> bool | None:
        """Overrules the row's `x-should-retry`; None leaves it."""
        return None

    def __str__(self) -> str:
        return f"{self.reason}: {self.words()}"


@dataclass(eq=False, kw_only=True)
class BudgetRefusal(Refusal):
    """A budget that cannot cover the call.

    scope, name, window: as on the budgets page ("agent", "researcher", "day"). Scope "call": not a budget's limit but
    the agent's for each call; `name` is then the agent, or the hosted tool whose uses are limited.
    limit, spent, held, asked: pico-dollars for the unit "usd", else tokens or calls.
    resets_at: the end of the window, aware; None for total budgets.
    affordable_output_tokens: an output bound that would be admitted now, where known; the largest by this bound.
    bound: how the call's input was bounded, by "bytes" or by its "tokenizer".
    """

    agent: str
    scope: str
    name: str
    unit: str = "usd"
    window: str
    limit: int
    spent: int
    held: int
    asked: int
    resets_at: datetime | None = None
    affordable_output_tokens: int | None = None
    bound: str = "bytes"

    @property
    def is_of_call(self) -> bool:
        """Whether the limit is the agent's for each call."""
        return self.scope == "call"

    @property
    def available(self) -> int:
        """What the budget could still admit, in its unit."""
        return max(0, self.limit - self.spent - self.held)

    def facts(self) -> dict[str, str | None]:
        """The budget as exact strings."""
        return self._facts

    @cached_property
    def _facts(self) -> dict[str, str | None]:
        # The book wants them as well as the answer, and of refusals there are floods.
        amounts = {name: self._exact(getattr(self, name)) for name in ("limit", "spent", "held", "asked", "available")}
        resets_at = self.resets_at.isoformat() if self.resets_at else None
        return {
            "scope": self.scope,
            "name": self.name,
            "unit": self.unit,
            "window": self.window,
            **amounts,
            "resets_at": resets_at,
            "bound": self.bound,
        }

    def words(self) -> dict[str, str]:
        """The budget for people."""
        amounts = {name: self._shown(getattr(self, name)) for name in ("limit", "spent", "held", "asked", "available")}
        resets = f"It resets at {self.resets_at.isoformat()}." if self.resets_at else "It does not reset by itself."
        return {
            "agent": self.agent,
            "scope": self.scope,
            "name": self.name,
            "window": self.window,
            "resets": resets,
            "affordable": self._affordable(),
            **amounts,
        }

    def _exact(self, amount: int) -> str:
        return usd_exact(amount) if self.unit == "usd" else str(amount)

    def _shown(self, amount: int) -> str:
        if self.unit == "usd":
            return usd_display(amount)
        if self.is_of_call:
            return f"{amount} input tokens" if self.unit == "tokens" else f"{amount} uses of {self.name}"
        return f"{amount} {self.unit}"

    def _affordable(self) -> str:
        if not self.affordable_output_tokens:
            return ""
        return f" An output bound of {self.affordable_output_tokens} tokens or less would fit now."


class BudgetExceeded(BudgetRefusal):
    """spent + held + asked is over the limit and waiting for running calls would not help."""

    reason = "budget_exceeded"


class CallTooExpensive(BudgetRefusal):
    """The call alone may cost more than the whole limit, or more than the agent may spend on one call."""

    reason = "call_too_expensive"


class HeldInFlight(BudgetRefusal):
    """The call would fit once running calls settle."""

    reason = "held_in_flight"
