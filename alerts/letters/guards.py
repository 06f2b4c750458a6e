"""What is written about loops, retry storms and growing contexts, seen or stopped."""

from collections.abc import Callable
from datetime import datetime

from agents.models import RuleMode
from agents.money import usd_display
from alerts.letters import Facts, Letter, Link, calls_link, moment, page
from alerts.models import Alert, AlertKind


def guard(alert: Alert, facts: Facts) -> Letter:
    """A rule has seen something, and warned or blocked."""
    headline, seen = _SEEN[AlertKind(alert.kind)](facts)
    blocked = facts.get("mode") == RuleMode.BLOCK
    return Letter(
        f"{headline} (stopped)" if blocked else headline,
        [seen, _cost(facts), _done(alert, facts, blocked=blocked)],
        [
            Link("Open the agent's guards", page("agents:agent_guards", agent_id=alert.agent_id)),
            calls_link("See the calls", agent=alert.agent_id, session=facts.get("session")),
        ],
    )


def _repeat(facts: Facts) -> tuple[str, str]:
    agent, model, count = facts["agent"], facts.get("model", "a model"), facts.get("count", "many")
    return (
        f"{agent} sends the same message again and again",
        f"{agent} sent {model} the same last message {count} times within {facts.get('minutes', 'a few')} minutes.",
    )


def _session(facts: Facts) -> tuple[str, str]:
    who = _who(facts)
    count = f"more than {facts['calls']:,}" if "calls" in facts else "very many"
    return f"{who} makes very many calls", f"{who} has made {count} calls."


def _busy(facts: Facts) -> tuple[str, str]:
    hours = facts.get("hours", "many")
    return (
        f"{facts['agent']} has not paused for {hours} hours",
        f"{facts['agent']} has been calling for {hours} hours without a pause of five minutes.",
    )


def _windows(facts: Facts) -> tuple[str, str]:
    count = facts.get("windows", 3)
    return (
        f"{facts['agent']} has used up its daily budget {count} days running",
        f"{facts['agent']} has reached 100 % of its daily budget {count} days running.",
    )


def _retries(facts: Facts) -> tuple[str, str]:
    who = _who(facts)
    headline = f"{who} retries failed calls again and again"
    if "failed_count" in facts:
        waits = f"It has to wait {facts.get('wait_seconds', 60):g} s."
        return headline, f"{who} went on calling after {facts['failed_count']} failed calls in a row. {waits}"
    retries, calls, percent = (facts.get(name, "?") for name in ("retries", "calls", "percent"))
    share = f"{retries} of {calls} calls ({percent} %)"
    return headline, f"In the last hour {share} of {_of(facts)} came within a minute of a failed one."


def _bloat(facts: Facts) -> tuple[str, str]:
    grown = ""
    if "from_tokens" in facts:
        grown = f" from {facts['from_tokens']:,} to {facts['to_tokens']:,} tokens within {facts['calls']} calls"
    return (
        f"The context of {_of(facts)} keeps growing",
        f"The input of the calls of {_of(facts)} has grown{grown}. Every further call pays for all of it.",
    )


_SEEN: dict[AlertKind, Callable[[Facts], tuple[str, str]]] = {
    AlertKind.LOOP_REPEAT: _repeat,
    AlertKind.LOOP_SESSION: _session,
    AlertKind.LOOP_BUSY: _busy,
    AlertKind.LOOP_WINDOWS: _windows,
    AlertKind.RETRY_STORM: _retries,
    AlertKind.CONTEXT_BLOAT: _bloat,
}


def _who(facts: Facts) -> str:
    session = facts.get("session")
    return f"Session {session} of agent {facts['agent']}" if session else str(facts["agent"])


def _of(facts: Facts) -> str:
    session = facts.get("session")
    return f"session {session} of agent {facts['agent']}" if session else str(facts["agent"])


def _cost(facts: Facts) -> str:
    cost_pico = facts.get("cost_pico", 0)
    return f"These calls have cost {usd_display(cost_pico)} so far." if cost_pico else ""


def _done(alert: Alert, facts: Facts, *, blocked: bool) -> str:
    if not blocked:
        return "Nothing was stopped: this rule only warns. Set it to block in the agent's guards, or pause the agent."
    until = facts.get("until_at")
    if until is None:
        return "Further calls are refused."
    if alert.kind == AlertKind.RETRY_STORM:
        return "Calls are held back for longer with each one that fails, a minute at most."
    ends = moment(datetime.fromisoformat(until), facts["time_zone"])
    return f"Its calls are refused until {ends}, or until somebody changes its settings."
