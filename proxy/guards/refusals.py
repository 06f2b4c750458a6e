"""What a call is told that a guard stops. Pure."""

from datetime import datetime, timedelta
from math import ceil

from agents.callers import Caller
from agents.models import GuardRule, Guards
from proxy.errors import LoopDetected, RateLimited
from proxy.guards.terms import NEVER_MS, Answer, Ask, Verdict


def loop(caller: Caller, rule: str, until: datetime) -> LoopDetected:
    """The refusal of an agent that a rule has blocked.

    rule: of GuardRule; until: aware, the end of its cool-down.
    """
    ends = until.replace(microsecond=0).isoformat()
    return LoopDetected(
        agent=caller.agent_name,
        rule=_clause(rule, caller.guards),
        hint=f"It may call again at {ends}.",
        details={"rule": rule, "resets_at": ends},
    )


def limited(caller: Caller, ask: Ask, answer: Answer) -> RateLimited:
    """The refusal of a call that must wait longer than its agent's pacing."""
    if answer.verdict is Verdict.CALLS:
        return _rate(caller, "calls", ask.calls_limit, 1, answer)
    if answer.verdict is Verdict.TOKENS:
        return _rate(caller, "tokens", ask.tokens_limit, ask.tokens, answer)
    if answer.verdict is Verdict.RETRIES:
        failed = "its last call" if answer.failed_count == 1 else f"its last {answer.failed_count} calls"
        return _held(caller, f"{failed} failed", GuardRule.RETRIES, answer.wait_ms)
    return held_by(caller, ask.provider, answer.wait_ms)


def held_by(caller: Caller, provider: str, wait_ms: int) -> RateLimited:
    """The refusal of a call whose provider has asked the agent to wait."""
    return _held(caller, f"{provider} asked it to wait", GuardRule.HELD_BACK, wait_ms)


def until(now: datetime, wait_ms: int) -> datetime:
    """When a wait ends."""
    return now + timedelta(milliseconds=wait_ms)


def _rate(caller: Caller, unit: str, limit: int, asked: int, answer: Answer) -> RateLimited:
    never = answer.wait_ms == NEVER_MS
    hint = f"This call may use up to {asked} tokens" if unit == "tokens" else ""
    if hint:
        hint += ", more than a minute allows: lower its output bound or shorten its input." if never else "."
    return RateLimited(
        agent=caller.agent_name,
        limit=f"{limit} {unit} a minute",
        hint=hint,
        retry_after_seconds=None if never else _seconds(answer.wait_ms),
        never=never,
        details={
            "scope": "agent", "name": caller.agent_name, "unit": unit, "window": "minute",
            "limit": str(limit), "asked": str(asked),
        },
    )  # fmt: skip


def _held(caller: Caller, why: str, rule: GuardRule, wait_ms: int) -> RateLimited:
    return RateLimited(
        agent=caller.agent_name, held=why, retry_after_seconds=_seconds(wait_ms), details={"rule": rule.value}
    )


def _seconds(wait_ms: int) -> int:
    return max(1, ceil(wait_ms / 1000))


def _clause(rule: str, guards: Guards) -> str:
    if rule == GuardRule.REPEAT:
        return f"the same message more than {guards.repeat_count} times in {guards.repeat_minutes} minutes"
    if rule == GuardRule.BUSY:
        return f"no pause of five minutes for {guards.busy_hours} hours"
    if rule == GuardRule.WINDOWS:
        return "its budget was used up in three windows running"
    return rule
