"""What a call asks of its agent's counters: only what the agent's guards say. Pure."""

from datetime import UTC, datetime

from agents.callers import Caller
from agents.ledger import BudgetFacts
from agents.models import Guards, RuleMode
from proxy.guards.terms import Ask
from proxy.planning import Plan
from proxy.providers.fingerprints import fingerprint

# A request without messages has no last one that could come again.
NO_MESSAGE = frozenset({"", fingerprint(b"null")})


def agent_key(caller: Caller) -> str:
    """Whose counters: an agent's live calls and its test calls are counted apart."""
    return f"{caller.agent_id}:{'test' if caller.practice else 'live'}"


def ask_of(plan: Plan, session: str, *, held_ms: int, waited_ms: int) -> Ask | None:
    """The ask of a call; None where its agent uses no guard that counts.

    held_ms: how long this process knows that the provider holds the agent back; waited_ms: of the pacing, already.
    """
    caller, guards = plan.caller, plan.caller.guards
    if not _counts(guards):
        return None
    like = _like(plan) if guards.repeat_mode == RuleMode.BLOCK else ""
    return Ask(
        agent=agent_key(caller),
        session=fingerprint(session.encode()),
        version=caller.agent_version,
        provider=plan.target.provider,
        calls_limit=guards.calls_per_minute or 0,
        tokens_limit=guards.tokens_per_minute or 0,
        tokens=plan.tokens_max,
        repeat=like,
        repeat_limit=guards.repeat_count if like else 0,
        repeat_ms=guards.repeat_minutes * 60_000,
        busy_ms=guards.busy_hours * 3_600_000 if guards.busy_mode == RuleMode.BLOCK else 0,
        cool_down_ms=guards.cool_down_minutes * 60_000,
        retries=guards.retry_mode == RuleMode.BLOCK,
        held_ms=held_ms,
        pacing_ms=max(0, guards.pacing_seconds * 1000 - waited_ms),
    )


def fitted(plan: Plan) -> Plan:
    """The plan under an output bound that fits into a minute's tokens, where it may be lowered."""
    limit, request = plan.caller.guards.tokens_per_minute, plan.request
    if limit is None or not plan.may_shrink or plan.tokens_max <= limit:
        return plan
    cap = (limit - plan.bound.input_tokens) // request.choices - request.extra_output_tokens
    return plan.with_cap(cap) if cap >= plan.useful_cap else plan


def minute_of(ask: Ask) -> BudgetFacts:
    """A minute's tokens as a budget that nothing has used yet, to ask whether the call could fit into it."""
    now = datetime.now(UTC)
    return BudgetFacts(
        budget_id=0, scope="agent", scope_name="", unit="tokens", window="minute", mode="hard", subject="",
        limit=ask.tokens_limit, spent=0, held=0, window_start=now, window_end=None,
    )  # fmt: skip


def _counts(guards: Guards) -> bool:
    modes = (guards.repeat_mode, guards.busy_mode, guards.retry_mode)
    return bool(guards.calls_per_minute or guards.tokens_per_minute or guards.pacing_seconds or RuleMode.BLOCK in modes)


def _like(plan: Plan) -> str:
    """Equal for equal models and last messages."""
    last = plan.request.facts.last_message_fingerprint
    return "" if last in NO_MESSAGE else fingerprint(f"{plan.target.provider}/{plan.priced_model} {last}".encode())
