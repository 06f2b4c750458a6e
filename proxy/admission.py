"""Hold the ceiling of a call in the ledger, or learn which budget has no room for it."""

from dataclasses import dataclass
from uuid import UUID

from agents import ledger as ledgers
from agents.callers import Caller
from agents.ledger import Ask, BudgetFacts, BudgetRefused, CallStart, Ledger, RefusalKind, Reservation
from proxy.errors import BudgetExceeded, BudgetRefusal, CallTooExpensive, HeldInFlight, LedgerAway, Overloaded
from proxy.planning import Plan
from proxy.providers.shape import ModelRequest, Route

SHRINKS_MAX = 2
DEADLINE_MARGIN_SECONDS = 120.0
COLUMN_CHARACTERS_MAX = 128

_REFUSALS: dict[RefusalKind, type[BudgetRefusal]] = {
    RefusalKind.EXCEEDED: BudgetExceeded,
    RefusalKind.TOO_EXPENSIVE: CallTooExpensive,
    RefusalKind.HELD_IN_FLIGHT: HeldInFlight,
}


@dataclass(frozen=True, slots=True)
class Admission:
    """A call whose ceiling is held: `plan` as it was admitted, perhaps under a lower bound of ours."""

    call_id: UUID
    plan: Plan
    reservation: Reservation


async def admit(ledger: Ledger, call_id: UUID, plan: Plan, *, seconds_max: float) -> Admission:
    """Reserve the call's ceiling; raises BudgetRefusal, LedgerAway, Overloaded or ledger.Stale.

    Where the output bound is ours it shrinks to what the budget buys, at most twice: the refusal says how much is left.
    seconds_max: how long the call may run.
    """
    for attempt in range(SHRINKS_MAX + 1):
        try:
            reservation = await ledger.reserve(_ask(call_id, plan, seconds_max))
        except BudgetRefused as refused:
            cap = _smaller_cap(plan, refused.facts)
            if cap is None or attempt == SHRINKS_MAX:
                raise _refusal(plan, refused) from refused
            plan = plan.with_cap(cap)
        except ledgers.LedgerAway as error:
            raise LedgerAway from error
        except ledgers.LedgerOverloaded as error:
            raise Overloaded from error
        else:
            return Admission(call_id, plan, reservation)
    raise AssertionError("the last attempt returns or raises")


def refused_start(caller: Caller, route: Route, request: ModelRequest | None, price_version: str) -> CallStart:
    """What the book keeps of a call that was refused, perhaps before its body could be read."""
    if request is None:
        return CallStart(key_id=caller.key_id, endpoint=route.endpoint.name, price_version=price_version)
    return _start(caller, route, request, provider="", price_version=price_version)


def _start(caller: Caller, route: Route, request: ModelRequest, *, provider: str, price_version: str) -> CallStart:
    return CallStart(
        key_id=caller.key_id,
        provider=provider,
        endpoint=route.endpoint.name,
        model=_storable(request.model),
        streamed=request.stream,
        user_subject=_storable(request.user or ""),
        price_version=price_version,
        system_bytes=request.facts.system_prompt_bytes,
        body_fingerprint=_signed(request.facts.body_fingerprint),
        last_message_fingerprint=_signed(request.facts.last_message_fingerprint),
    )


def _ask(call_id: UUID, plan: Plan, seconds_max: float) -> Ask:
    caller = plan.caller
    return Ask(
        call_id=call_id,
        organization_id=caller.organization_id,
        agent_id=caller.agent_id,
        agent_version=caller.agent_version,
        organization_version=caller.organization_version,
        budgets=tuple((policy.budget_id, "") for policy in caller.budgets),
        usd_pico=plan.ceiling_pico,
        tokens=plan.tokens_max,
        practice=caller.practice,
        deadline_seconds=seconds_max + DEADLINE_MARGIN_SECONDS,
        start=_start(caller, plan.route, plan.request, provider=plan.target.provider, price_version=plan.price_version),
    )


def _smaller_cap(plan: Plan, facts: BudgetFacts) -> int | None:
    """A lower bound of ours that the budget would buy now, where that is still useful."""
    if not plan.added_cap or facts.unit != "usd" or facts.available is None:
        return None
    cap = plan.affordable_cap(facts.available)
    return cap if plan.useful_cap <= cap < plan.output_cap else None


def _refusal(plan: Plan, refused: BudgetRefused) -> BudgetRefusal:
    """The refusal in the caller's terms. A bound of ours counts as low as it could usefully go."""
    facts, kind, asked = refused.facts, refused.kind, refused.asked
    affordable = None
    if facts.unit == "usd" and facts.limit is not None:
        affordable = plan.affordable_cap(facts.available or 0) or None
        if plan.added_cap:
            asked = plan.with_cap(plan.useful_cap).ceiling_pico
            kind = _kind(asked, facts.limit, facts.spent)
    return _REFUSALS[kind](
        agent=plan.caller.agent_name,
        scope=facts.scope,
        name=_budget_name(plan, facts),
        unit=facts.unit,
        window=facts.window,
        limit=facts.limit or 0,
        spent=facts.spent,
        held=facts.held,
        asked=asked,
        resets_at=facts.window_end,
        affordable_output_tokens=affordable,
    )


def _kind(asked_pico: int, limit_pico: int, spent_pico: int) -> RefusalKind:
    if asked_pico > limit_pico:
        return RefusalKind.TOO_EXPENSIVE
    if asked_pico > limit_pico - spent_pico:
        return RefusalKind.EXCEEDED
    return RefusalKind.HELD_IN_FLIGHT


def _budget_name(plan: Plan, facts: BudgetFacts) -> str:
    if facts.scope == "organization":
        return plan.caller.organization_name
    return facts.subject or plan.caller.agent_name


def _storable(text: str) -> str:
    """What a client wrote, as a column of the book takes it: PostgreSQL has no NUL."""
    return text.replace("\0", "")[:COLUMN_CHARACTERS_MAX]


def _signed(fingerprint: str) -> int:
    """Sixteen hexadecimal digits as the signed 64 bits of a bigint."""
    return int.from_bytes(bytes.fromhex(fingerprint), signed=True) if fingerprint else 0
