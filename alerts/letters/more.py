"""What is written about the rest of a crowd: the alerts of an hour that had no message of their own."""

from zoneinfo import ZoneInfo

from agents.models import Scope
from alerts.letters import Facts, Letter, Link, page
from alerts.letters.budgets import budget_words
from alerts.models import Alert, AlertKind

_NOUNS = {
    Scope.SESSION: "sessions", Scope.USER: "users", Scope.AGENT_USER: "users", Scope.MODEL: "models",
    Scope.SUB_AGENT: "sub-agents",
}  # fmt: skip
_SAW = {
    AlertKind.LOOP_REPEAT: "agents that sent the same message again and again",
    AlertKind.LOOP_SESSION: "sessions that made very many calls",
    AlertKind.LOOP_BUSY: "agents that did not pause for hours",
    AlertKind.LOOP_WINDOWS: "agents that used up their daily budget several days running",
    AlertKind.RETRY_STORM: "agents that retried failed calls again and again",
    AlertKind.CONTEXT_BLOAT: "sessions whose context kept growing",
}


def more(alert: Alert, facts: Facts) -> Letter:
    """And so many more."""
    kind, count = AlertKind(facts["kind"]), facts["count"]
    about = f"{count:,} more alert{'' if count == 1 else 's'} about {_about(kind, facts)}"
    return Letter(
        f"And {about}",
        [
            f"{_between(alert, facts)} there were {about}. The first ones of the hour had messages of their own.",
            _budget(kind, facts),
            f"Among them: {', '.join(facts['subjects'])}.",
        ],
        [Link("See all alerts", page("alerts:alert_list") + (f"?agent={alert.agent_id}" if alert.agent_id else ""))],
    )


def _about(kind: AlertKind, facts: Facts) -> str:
    if kind in _SAW:
        return _SAW[kind]
    whose = f"agent {facts['agent']}" if facts["agent"] else facts["organization"]
    return f"{_NOUNS[Scope(facts['scope'])]} of {whose}"


def _budget(kind: AlertKind, facts: Facts) -> str:
    if kind == AlertKind.TOO_LARGE:
        return f"Calls were too large for what was left of their {budget_words(facts)}."
    if kind != AlertKind.THRESHOLD:
        return ""
    counts = [f"{percent} % {count:,} times" for percent, count in facts["by_threshold"].items()]
    return f"Of their {budget_words(facts)} they reached {', '.join(counts)}."


def _between(alert: Alert, facts: Facts) -> str:
    zone = facts["time_zone"]
    assert alert.window_start is not None
    assert alert.window_end is not None
    began, ended = (f"{at.astimezone(ZoneInfo(zone)):%H:%M}" for at in (alert.window_start, alert.window_end))
    return f"Between {began} and {ended} ({zone})"
