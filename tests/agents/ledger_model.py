"""The ledger in plain Python: what PostgreSQL must agree with after every step."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    RESERVED = "reserved"
    SETTLED = "settled"
    VOIDED = "voided"
    EXPIRED = "expired"


@dataclass
class ModelBalance:
    """One window of one budget."""

    spent: int = 0
    held: int = 0


@dataclass
class ModelBudget:
    """A budget, its current balance, and those of windows that are over."""

    unit: str
    limit: int | None
    has_window: bool
    current: ModelBalance = field(default_factory=ModelBalance)
    past: list[ModelBalance] = field(default_factory=list)

    def amount(self, usd: int, tokens: int) -> int:
        return {"usd": usd, "tokens": tokens, "calls": 1}[self.unit]

    def turn(self) -> None:
        if self.has_window:
            self.past.append(self.current)
            self.current = ModelBalance()


@dataclass
class ModelCall:
    """A call id: its hold, the balances it counts against, and how it ended."""

    usd: int
    tokens: int
    balances: list[tuple[ModelBudget, ModelBalance]]
    state: State = State.RESERVED
    cost: int = 0
    used_tokens: int = 0
    counted: int = 0
    late: tuple[str, int, int] | None = None

    def move(self, usd: int, tokens: int, calls: int) -> None:
        for budget, balance in self.balances:
            balance.spent += {"usd": usd, "tokens": tokens, "calls": calls}[budget.unit]

    def release(self) -> None:
        for budget, balance in self.balances:
            balance.held -= budget.amount(self.usd, self.tokens)

    def charge(self, usd: int, tokens: int, calls: int) -> None:
        """Bring the charge to these amounts, whatever it was before."""
        self.move(usd - self.cost, tokens - self.used_tokens, calls - self.counted)
        self.cost, self.used_tokens, self.counted = usd, tokens, calls


class Model:
    """Budgets and calls, and the four things that can happen to them."""

    def __init__(self) -> None:
        self.calls: dict[object, ModelCall] = {}

    def refusing(self, budgets: list[ModelBudget], usd: int, tokens: int) -> list[ModelBudget]:
        """Return the budgets that a refusal may name: least hope, then the smallest share of the amount left."""
        full = []
        for budget in budgets:
            amount, now = budget.amount(usd, tokens), budget.current
            if budget.limit is not None and now.spent + now.held + amount > budget.limit:
                hope = 0 if amount > budget.limit else 1 if now.spent + amount > budget.limit else 2
                full.append((hope, (budget.limit - now.spent - now.held) / max(amount, 1), budget))
        return [budget for *rank, budget in full if tuple(rank) == min(one[:2] for one in full)]

    def reserve(self, call_id: object, budgets: list[ModelBudget], usd: int, tokens: int) -> None:
        for budget in budgets:
            budget.current.held += budget.amount(usd, tokens)
        self.calls[call_id] = ModelCall(usd, tokens, [(budget, budget.current) for budget in budgets])

    def end(self, call_id: object, status: str, cost: int, tokens: int) -> str:
        """Settle or void and return the outcome that the ledger must tell."""
        call = self.calls.get(call_id)
        if call is None:
            return "unknown"
        if status == "voided":
            cost = tokens = 0
        counted = int(status == "settled")
        match call.state:
            case State.RESERVED:
                call.release()
                call.charge(cost, tokens, counted)
                call.state = State(status)
                return status
            case State.EXPIRED if call.late is None:
                call.late = (status, cost, tokens)
                call.charge(cost, tokens, counted)
                return "corrected"
            case State.EXPIRED:
                assert call.late is not None
                return "same" if call.late[1:] == (cost, tokens) else "conflict"
            case _:
                is_same = (str(call.state), call.cost, call.used_tokens) == (status, cost, tokens)
                return "same" if is_same else "conflict"

    def expire(self, call_id: object) -> None:
        call = self.calls[call_id]
        assert call.state is State.RESERVED
        call.release()
        call.charge(call.usd, call.tokens, 1)
        call.state = State.EXPIRED

    def open_ids(self) -> list[object]:
        return [call_id for call_id, call in self.calls.items() if call.state is State.RESERVED]
