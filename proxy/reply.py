"""An answer on its way to the client: whole, or a channel that is still being filled."""

from asyncio import Task
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from agents.callers import Caller
from agents.ledger import BudgetFacts
from agents.money import usd_exact
from proxy.channel import Channel
from proxy.errors import BudgetRefusal

type RawHeaders = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Reply:
    """Status, headers and a body; a streamed one names the task that fills its channel.

    headers: as they are sent, without content-length.
    """

    status: int
    headers: RawHeaders
    body: bytes = b""
    channel: Channel | None = None
    pump: Task[None] | None = None


def raw(headers: Iterable[tuple[str, str]]) -> RawHeaders:
    """Headers as bytes."""
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


def call_headers(call_id: UUID, caller: Caller | None) -> RawHeaders:
    """What every answer carries (product.md W8)."""
    headers = [(b"x-awx-call-id", str(call_id).encode())]
    if caller is not None:
        headers.append((b"x-awx-agent", caller.agent_slug.encode()))
    return headers


def budget_headers(tightest: BudgetFacts | None) -> RawHeaders:
    """The tightest dollar budget, the call's own hold included."""
    if tightest is None or tightest.limit is None:
        return []
    return _budget_headers(tightest.limit, max(0, tightest.available or 0), tightest.window_end)


def refusal_headers(refusal: BudgetRefusal) -> RawHeaders:
    """The dollar budget that refused; none for a limit of each call."""
    if refusal.unit != "usd" or refusal.is_of_call:
        return []
    return _budget_headers(refusal.limit, refusal.available, refusal.resets_at)


def _budget_headers(limit_pico: int, remaining_pico: int, resets_at: datetime | None) -> RawHeaders:
    headers = [
        (b"x-awx-budget-limit", usd_exact(limit_pico).encode()),
        (b"x-awx-budget-remaining", usd_exact(remaining_pico).encode()),
    ]
    if resets_at is not None:
        headers.append((b"x-awx-budget-reset", _rfc3339(resets_at)))
    return headers


def bound_headers(our_cap: int | None) -> RawHeaders:
    """The output bound in tokens, where it is not as the client named it."""
    return [] if our_cap is None else [(b"x-awx-max-output-tokens", str(our_cap).encode())]


def cost_header(cost_pico: int) -> tuple[bytes, bytes]:
    """What the call cost, where it is known before the headers leave."""
    return b"x-awx-call-cost", usd_exact(cost_pico).encode()


def _rfc3339(at: datetime) -> bytes:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat("T", "seconds").encode() + b"Z"
