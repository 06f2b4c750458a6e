"""Hold the ceiling of a call in the ledger, or learn which budget has no room for it."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from accounts.records import record
from agents import ledger as ledgers
from agents.callers import Caller
from agents.ledger import Ask, BudgetFacts, BudgetRefused, CallStart, Ledger, RefusalKind, Reservation
from proxy.errors import (
    BudgetExceeded,
    BudgetRefusal,
    CallTooExpensive,
    HeldInFlight,
    LedgerAway,
    LoopDetected,
    Overloaded,
    RateLimited,
    Refusal,
    SessionLimit,
    TooManySubjects,
)
from proxy.guards import Turn
from proxy.names import SESSION_CALLS, Names, cut, limits, meter_of, named_budgets
from proxy.planning import Plan
from proxy.providers.endpoints import Route
from proxy.providers.model_request import ModelRequest

SHRINKS_MAX = 2
SHRINKING_UNITS = frozenset({"usd", "tokens"})  # a lower output bound asks less of them
DEADLINE_MARGIN_SECONDS = 120.0
PARALLEL_RETRY_SECONDS = 1
_NEW_SESSION = "Start a new session or reset it."

Narrow = Callable[[Plan, BudgetFacts], Awaitable[Plan | None]]

_REFUSALS: dict[RefusalKind, type[BudgetRefusal]] = {
    RefusalKind.EXCEEDED: BudgetExceeded,
    RefusalKind.TOO_EXPENSIVE: CallTooExpensive,
    RefusalKind.HELD_IN_FLIGHT: HeldInFlight,
}


@record()
class Admission:
    """A call whose ceiling is held: `plan` as it was admitted, perhaps under a lower bound of ours.

    turn: what it took from the agent's guards.
    """

    call_id: UUID
    plan: Plan
    reservation: Reservation
    turn: Turn | None = None


async def admit(
    ledger: Ledger,
    call_id: UUID,
    plan: Plan,
    names: Names,
    *,
    narrow: Narrow,
    seconds_max: float,
    meanwhile: Callable[[], None] | None = None,
) -> Admission:
    """Reserve the call's ceiling; raises BudgetRefusal and others of proxy.errors, or ledger.Stale.

    A first refusal narrows the input bound, where it can be. Where the output bound may shrink it does, to what the
    budget buys, at most twice: the refusal says how much is left. seconds_max: how long the call may run.
    meanwhile: work to be done while the ledger writes; called once at most.
    """
    for attempt in range(SHRINKS_MAX + 1):
        try:
            ask = _ask(call_id, plan, names, seconds_max)
            reservation = await ledger.reserve(ask, meanwhile=None if attempt else meanwhile)
        except BudgetRefused as refused:
            plan, again = await after_refusal(plan, refused, attempt=attempt, narrow=narrow)
            if not again:
                raise refusal_of(plan, names, refused) from refused
        except ledgers.LedgerAway as error:
            raise LedgerAway from error
        except ledgers.LedgerOverloaded as error:
            raise Overloaded from error
        except ledgers.TooManySubjects as error:
            raise _too_many(plan.caller, error.budget_id) from error
        else:
            return Admission(call_id, plan, reservation)
    raise AssertionError("the last attempt returns or raises")


async def after_refusal(plan: Plan, refused: BudgetRefused, *, attempt: int, narrow: Narrow) -> tuple[Plan, bool]:
    """The plan that the refused one may be narrowed to, and whether it is to be asked for again.

    attempt: how many were refused before.
    """
    counted = await narrow(plan, refused.facts) if attempt == 0 else None
    plan = counted or plan
    cap = _smaller_cap(plan, refused.facts)
    if (cap is None and counted is None) or attempt == SHRINKS_MAX:
        return plan, False
    return plan if cap is None else plan.with_cap(cap), True


def start_of(plan: Plan, names: Names) -> CallStart:
    """What the book keeps of a call from its beginning on."""
    return _start(
        plan.caller, plan.route, plan.request, names, provider=plan.target.provider, price_version=plan.price_version
    )


def refused_start(
    caller: Caller, route: Route, request: ModelRequest | None, names: Names, price_version: str
) -> CallStart:
    """What the book keeps of a call that was refused, perhaps before its body could be read."""
    if request is None:
        return CallStart(key_id=caller.key_id, endpoint=route.endpoint.name, price_version=price_version)
    return _start(caller, route, request, names, provider="", price_version=price_version)


def _start(
    caller: Caller, route: Route, request: ModelRequest, names: Names, *, provider: str, price_version: str
) -> CallStart:
    return CallStart(
        key_id=caller.key_id,
        provider=provider,
        endpoint=route.endpoint.name,
        model=cut(request.model),
        streamed=request.stream,
        session=names.session,
        user_subject=names.user,
        sub_agent=names.sub_agent,
        tags=names.tags,
        price_version=price_version,
        system_bytes=request.facts.system_prompt_bytes,
        body_fingerprint=_signed(request.facts.body_fingerprint),
        last_message_fingerprint=_signed(request.facts.last_message_fingerprint),
    )


def caps_of(caller: Caller, names: Names) -> tuple[tuple[int, int], ...]:
    """The limits of the call's own, by the budgets that they are held against; their meters exist by now."""
    own = limits(names, caller)
    if not own:
        return ()
    found = [(meter_of(meter, caller), limit) for meter, limit in own.items()]
    return tuple((budget.budget_id, limit) for budget, limit in found if budget is not None)


def _ask(call_id: UUID, plan: Plan, names: Names, seconds_max: float) -> Ask:
    caller = plan.caller
    return Ask(
        call_id=call_id,
        organization_id=caller.organization_id,
        agent_id=caller.agent_id,
        agent_version=caller.agent_version,
        organization_version=caller.organization_version,
        budgets=named_budgets(names, caller, plan.priced_model),
        caps=caps_of(caller, names),
        usd_pico=plan.ceiling_pico,
        tokens=plan.tokens_max,
        practice=caller.practice,
        deadline_seconds=seconds_max + DEADLINE_MARGIN_SECONDS,
        start=start_of(plan, names),
    )


def _smaller_cap(plan: Plan, facts: BudgetFacts) -> int | None:
    """A lower output bound that the budget would buy now, where that is allowed and still useful."""
    if facts.unit not in SHRINKING_UNITS or facts.available is None:
        return None
    return plan.smaller_cap(facts.available, facts.unit)


def refusal_of(plan: Plan, names: Names, refused: BudgetRefused) -> Refusal:
    """The refusal in the caller's terms: some budgets are limits of another name."""
    facts, agent = refused.facts, plan.caller.agent_name
    told = _budget_refusal(plan, refused)
    if facts.unit == "parallel":
        limit = f"{facts.limit} calls at a time"
        return RateLimited(agent=agent, limit=limit, details=told.facts(), retry_after_seconds=PARALLEL_RETRY_SECONDS)
    if (facts.scope, facts.unit, facts.window) == (SESSION_CALLS.scope, SESSION_CALLS.unit, SESSION_CALLS.window):
        if refused.by_cap and facts.limit == plan.caller.guards.session_calls:
            rule = f"session {facts.subject} has made {facts.spent + facts.held} calls"
            return LoopDetected(agent=agent, rule=rule, remedy=_NEW_SESSION, details=told.facts())
        session = facts.subject or names.session
        return SessionLimit(session=session, limit=f"{facts.limit} calls", details=told.facts())
    return told


def _too_many(caller: Caller, budget_id: int) -> TooManySubjects:
    scope = next((budget.scope for budget in caller.budgets if budget.budget_id == budget_id), "subject")
    kind = {"agent_user": "users", "sub_agent": "sub-agents"}.get(scope, f"{scope}s")
    return TooManySubjects(kind=kind, limit="10,000")


def _budget_refusal(plan: Plan, refused: BudgetRefused) -> BudgetRefusal:
    """A bound that may shrink counts as low as it could usefully go."""
    facts, kind, asked = refused.facts, refused.kind, refused.asked
    affordable = None
    if facts.unit in SHRINKING_UNITS and facts.limit is not None:
        affordable = plan.affordable_cap(facts.available or 0, facts.unit) or None
        if plan.may_shrink:
            asked = plan.least.most_of(facts.unit)
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
        bound="tokenizer" if plan.counted else "bytes",
    )


def _kind(asked: int, limit: int, spent: int) -> RefusalKind:
    if asked > limit:
        return RefusalKind.TOO_EXPENSIVE
    if asked > limit - spent:
        return RefusalKind.EXCEEDED
    return RefusalKind.HELD_IN_FLIGHT


def _budget_name(plan: Plan, facts: BudgetFacts) -> str:
    if facts.scope == "organization":
        return plan.caller.organization_name
    return facts.subject or facts.scope_name or plan.caller.agent_name


def _signed(fingerprint: str) -> int:
    """Sixteen hexadecimal digits as the signed 64 bits of a bigint."""
    return int.from_bytes(bytes.fromhex(fingerprint), signed=True) if fingerprint else 0
