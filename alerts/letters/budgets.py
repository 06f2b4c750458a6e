"""What is written about budgets: thresholds, and calls that are too large for what is left."""

from datetime import datetime, timedelta

from agents.budget_words import amount
from agents.models import Mode, Scope, Unit, Window
from agents.money import usd_display
from agents.subjects import NOBODY
from alerts.letters import Facts, Letter, Link, calls_link, moment, page, span
from alerts.models import Alert
from alerts.thresholds import share

_CALENDAR = {Window.DAY: "daily", Window.WEEK: "weekly", Window.MONTH: "monthly", Window.TOTAL: "total"}
_LASTING = {Window.ROLLING: "for 24 hours", Window.SESSION: "for the session"}
_COUNTED = {
    Window.DAY: " today", Window.WEEK: " this week", Window.MONTH: " this month", Window.SESSION: "",
    Window.ROLLING: " within 24 hours", Window.TOTAL: " in all",
}  # fmt: skip
_NOUNS = {Scope.SESSION: "session", Scope.USER: "user", Scope.AGENT_USER: "user", Scope.SUB_AGENT: "sub-agent"}
_WHOLE = frozenset({Scope.AGENT, Scope.ORGANIZATION})
_CALL_FILTERS = {Scope.SESSION: "session", Scope.MODEL: "model"}


def threshold(alert: Alert, facts: Facts) -> Letter:
    """A budget has reached one of its thresholds, or refused a call when hardly anything was left."""
    refused = "refused_at" in facts and facts["spent"] < facts["limit"]
    who = subject_of(facts)
    if refused:
        subject = f"{who} was refused at {_state(facts)}"
    elif facts["unit"] == Unit.USD:
        subject = f"{who} has reached {alert.threshold} % of its {budget_words(facts)}"
    else:
        subject = f"{who} has used {_state(facts)}"
    return Letter(
        subject,
        [
            f"{who} has {_verb(facts)} {_state(facts)} ({share(facts['spent'], facts['limit'])} %).",
            _topped_up(facts),
            _refusal(facts) if refused else "",
            _rate(facts),
            _consequence(facts, used_up=refused or facts["spent"] >= facts["limit"]),
            _reset(alert, facts),
        ],
        _links(alert, facts),
    )


def too_large(alert: Alert, facts: Facts) -> Letter:
    """A call was refused while the budget had something left."""
    return Letter(
        f"{subject_of(facts)}: call too large for what is left of its {budget_words(facts)}",
        [
            _refusal(facts),
            "Smaller calls still go through. A lower output limit in the call makes its highest possible cost smaller.",
            "Further calls that are too large are refused without another message until the budget resets.",
            _reset(alert, facts),
        ],
        _links(alert, facts),
    )


def subject_of(facts: Facts) -> str:
    """Who spends, at the beginning of a sentence: the agent, the organisation, or one part of its calls."""
    scope, name = Scope(facts["scope"]), facts["scope_name"]
    whole = facts["agent"] or facts["organization"]
    if scope in _WHOLE or not name:
        return str(whole)
    of_whole = f"agent {whole}" if facts["agent"] else whole
    beginning = f"{of_whole[0].upper()}{of_whole[1:]}"
    if scope == Scope.MODEL:
        return f"{beginning} on model {name}"
    if name == NOBODY:
        return f"{beginning} in calls without a {_NOUNS[scope]}"
    return f"{_NOUNS[scope].capitalize()} {name} of {of_whole}"


def budget_words(facts: Facts) -> str:
    """The budget as "$5.00 daily budget" or "budget of 50 calls for the session"."""
    limit, window = amount(facts["unit"], facts["limit"]), Window(facts["window"])
    kind = f"{_CALENDAR[window]} budget" if window in _CALENDAR else "budget"
    words = f"{limit} {kind}" if facts["unit"] == Unit.USD else f"{kind} of {limit}"
    return f"{words} {_LASTING[window]}" if window in _LASTING else words


def _state(facts: Facts) -> str:
    """What is spent of what: "$4.87 of its $5.00 daily budget", "40 of 50 calls today"."""
    if facts["unit"] == Unit.USD:
        return f"{amount(Unit.USD, facts['spent'])} of its {budget_words(facts)}"
    of_limit = amount(facts["unit"], facts["limit"])
    return f"{facts['spent']:,} of {of_limit}{_COUNTED[Window(facts['window'])]}"


def _verb(facts: Facts) -> str:
    return "spent" if facts["unit"] == Unit.USD else "used"


def _topped_up(facts: Facts) -> str:
    extra = facts.get("topped_up", 0)
    return f"The limit includes {amount(facts['unit'], extra)} that was topped up." if extra else ""


def _refusal(facts: Facts) -> str:
    unit, of_limit = facts["unit"], amount(facts["unit"], facts["limit"])
    if unit == Unit.USD:
        asked, spent = (amount(unit, facts[name]) for name in ("asked", "spent"))
        return f"A call that could cost up to {asked} was refused at {spent} of {of_limit}."
    could = "" if unit == Unit.CALLS else f" that could use up to {amount(unit, facts['asked'])}"
    return f"A call{could} was refused at {facts['spent']:,} of {of_limit}."


def _rate(facts: Facts) -> str:
    """The speed of spending and, where it says something, how long the rest lasts at it."""
    per_hour = facts.get("rate_pico_per_hour", 0)
    if per_hour <= 0:
        return ""
    speed = f"In the last hour it spent {usd_display(per_hour)}"
    left = facts["limit"] - facts["spent"]
    if facts["unit"] != Unit.USD or left <= 0:
        return f"{speed}."
    lasts = timedelta(minutes=left * 60 // per_hour)
    return f"{speed}; at that rate the rest lasts {span(lasts)}."


def _consequence(facts: Facts, *, used_up: bool) -> str:
    if facts["mode"] == Mode.SOFT:
        return "This budget only alerts: calls go on."
    if not used_up:
        return "When it is used up, calls are refused before they reach the provider."
    return f"Calls that the budget cannot cover are refused {_until(Window(facts['window']))}."


def _until(window: Window) -> str:
    if window in (Window.SESSION, Window.TOTAL):
        return "until you raise the limit"
    return "until there is room again or you raise the limit" if window == Window.ROLLING else (
        "until it resets or you raise the limit"
    )  # fmt: skip


def _reset(alert: Alert, facts: Facts) -> str:
    match facts["window"]:
        case Window.ROLLING if "room_at" in facts:
            first_at = moment(datetime.fromisoformat(facts["room_at"]), facts["time_zone"])
            return f"The budget counts the last 24 hours: room comes back hour by hour, first on {first_at}."
        case Window.ROLLING:
            return "The budget counts the last 24 hours."
        case Window.SESSION:
            return "The budget lasts as long as the session; other sessions have their own."
    if alert.window_end is None:
        return "This budget does not reset by itself."
    return f"The budget resets on {moment(alert.window_end, facts['time_zone'])}."


def _links(alert: Alert, facts: Facts) -> list[Link]:
    filters = {"agent": alert.agent_id}
    column = _CALL_FILTERS.get(Scope(facts["scope"]))
    if column is not None and facts["scope_name"] != NOBODY:
        filters[column] = facts["scope_name"]
    used_up = facts["spent"] >= facts["limit"] or "refused_at" in facts
    # The running window of a budget without subjects can be topped up, where it ends.
    top_up = used_up and not alert.subject and alert.window_end is not None
    change = Link("Raise the limit", _page_of(alert, facts))
    if top_up:
        change = Link("Top up or raise the limit", f"{_page_of(alert, facts)}#top-up")
    return [change, calls_link("See the calls", **filters)]


def _page_of(alert: Alert, facts: Facts) -> str:
    """Where a budget is changed: the agent's own day on the agent's page, others on a page of theirs."""
    if (facts["scope"], facts["unit"], facts["window"]) == (Scope.AGENT, Unit.USD, Window.DAY):
        return page("agents:agent_detail", agent_id=alert.agent_id)
    return page("agents:budget_detail", budget_id=alert.budget_id)
