"""What callers say to the ledger and what it answers."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from accounts.records import record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

USD_PICO_MAX = 10**17  # $100,000 for one call; sums of many stay within bigint
TOKENS_MAX = 10**12
SUBJECT_BYTES_MAX = 128


@record(kw_only=True)
class CallStart:
    """Columns of Call that are known before the call is forwarded."""

    key_id: int | None = None
    provider: str = ""
    endpoint: str = ""
    model: str = ""
    streamed: bool = False
    session: str = ""
    user_subject: str = ""
    sub_agent: str = ""
    tags: Mapping[str, str] | None = None
    price_version: str = ""
    system_bytes: int = 0
    body_fingerprint: int = 0  # signed, 64 bits
    last_message_fingerprint: int = 0


@record(kw_only=True)
class Ask:
    """An amount to hold for one call, on all its budgets or on none.

    budgets: pairs of budget id and subject; the organisation's meter is always among them.
    caps: limits that this call brings for some of its budgets, by budget id and in their units; they only tighten.
    usd_pico, tokens: the most the call can cost.
    deadline_seconds: how long the hold of a dead process lasts; above the call's total time-out.
    """

    call_id: UUID
    organization_id: UUID
    agent_id: UUID
    agent_version: int
    organization_version: int
    budgets: tuple[tuple[int, str], ...]
    usd_pico: int
    tokens: int = 0
    practice: bool = False
    caps: tuple[tuple[int, int], ...] = ()
    deadline_seconds: float
    start: CallStart = field(default_factory=CallStart)

    def __post_init__(self) -> None:
        if not 0 <= self.usd_pico <= USD_PICO_MAX or not 0 <= self.tokens <= TOKENS_MAX:
            raise ValueError(f"amount out of range: {self.usd_pico} pico-dollars, {self.tokens} tokens")
        if not self.budgets or self.deadline_seconds <= 0:
            raise ValueError("an ask needs a budget and a deadline")
        for _, subject in self.budgets:
            if len(subject) > SUBJECT_BYTES_MAX // 4 and len(subject.encode()) > SUBJECT_BYTES_MAX:
                raise ValueError("subject too long")


@record(kw_only=True)
class BudgetFacts:
    """A budget in one window: amounts in its unit (pico-dollars, tokens or calls), limit None where unlimited."""

    budget_id: int
    scope: str
    scope_name: str
    unit: str
    window: str
    mode: str
    subject: str
    limit: int | None
    spent: int
    held: int
    window_start: datetime
    window_end: datetime | None

    @property
    def available(self) -> int | None:
        """What may still be asked for; below zero once the limit was lowered under what is spent."""
        return None if self.limit is None else self.limit - self.spent - self.held


def limit_under(limit: int | None, mode: str, cap: int | None) -> int | None:
    """What may be reached under a budget's limit and one that the call brings: the tighter of those that refuse.

    limit, cap: in the budget's unit, None where there is none; the limit of a budget that only alerts refuses nothing.
    """
    own = limit if mode == "hard" else None
    return cap if own is None else own if cap is None else min(own, cap)


@record(kw_only=True)
class CallEnd:
    """What is known when a call ends: the cost in pico-dollars, the tokens by kind, how it went."""

    basis: str = "usage"
    cost_pico: int = 0
    tokens: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_long_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    pricing: Mapping[str, object] | None = None
    served_model: str = ""
    http_status: int | None = None
    reason: str = ""
    failed: bool = False
    tool_call_count: int = 0
    first_byte_ms: int | None = None
    duration_ms: int | None = None
    provider_request_id: str = ""
    facts: Mapping[str, object] | None = None


@record(kw_only=True)
class RefusalRow:
    """A refused call for the book; asked_pico is what it would have held."""

    call_id: UUID
    organization_id: UUID
    agent_id: UUID
    reason: str
    http_status: int
    start: CallStart = field(default_factory=CallStart)
    practice: bool = False
    asked_pico: int = 0
    facts: Mapping[str, object] | None = None


@record(kw_only=True)
class SessionFacts:
    """What one session of an agent did so far; last_at is None while its first call runs."""

    call_count: int
    refused_count: int
    running_count: int
    tokens: int
    cost_pico: int
    first_at: datetime
    last_at: datetime | None


@record(kw_only=True)
class CachedRow:
    """A call that was answered from the cache: it held nothing and cost nothing.

    saved_pico: what the answer cost when it was made; original_id: the call that made it.
    """

    call_id: UUID
    organization_id: UUID
    agent_id: UUID
    http_status: int
    start: CallStart = field(default_factory=CallStart)
    saved_pico: int = 0
    original_id: str = ""
    duration_ms: int = 0


@record(kw_only=True)
class CallState:
    """A call as its agent may see it: running, or as the book has it with corrections counted in."""

    call_id: UUID
    status: str
    basis: str
    cost_pico: int
    held_pico: int
    provider: str
    model: str
    reserved_at: datetime
    ended_at: datetime | None
    reason: str
    http_status: int | None
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_long_tokens: int
    output_tokens: int
    reasoning_tokens: int
