"""The messages: an alert's facts in words, and links built from SITE_URL only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse

from agents.models import Mode, Scope, Unit, Window
from agents.money import usd_display
from alerts.models import Alert, AlertKind, Delivery

_WINDOWS = {Window.DAY: "daily", Window.WEEK: "weekly", Window.MONTH: "monthly", Window.ROLLING: "24-hour"}
_LONG = timedelta(days=2)

type Facts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What a message says: one line for the subject, sentences, and where to go from there."""

    subject: str
    sentences: list[str]
    links: list[Link]


def message(delivery: Delivery) -> EmailMultiAlternatives:
    """Write the message of a delivery. Its id stays the same at every attempt, so a repeated one can be told."""
    alert = delivery.alert
    written = letter(alert)
    context = {"letter": written, "organization": alert.organization}
    mail = EmailMultiAlternatives(
        subject=written.subject,
        body=render_to_string("alerts/email/alert.txt", context),
        to=[delivery.address],
        headers={"Message-ID": f"<{delivery.id}@awx-shredder>", "Auto-Submitted": "auto-generated"},
    )
    mail.attach_alternative(render_to_string("alerts/email/alert.html", context), "text/html")
    return mail


def letter(alert: Alert) -> Letter:
    """Put an alert into words; the subject is a single line, whatever agents are called."""
    written = _WRITERS[AlertKind(alert.kind)](alert, alert.facts)
    return Letter(" ".join(written.subject.split()), [one for one in written.sentences if one], written.links)


def _threshold(alert: Alert, facts: Facts) -> Letter:
    spent, limit = (amount(facts[name], facts["unit"]) for name in ("spent", "limit"))
    refused = "refused_at" in facts and facts["spent"] < facts["limit"]
    subject = f"{_who(facts)} has reached {alert.threshold} % of its {limit} {_budget(facts)}"
    if refused:
        subject = f"{_who(facts)} was refused at {spent} of its {limit} {_budget(facts)}"
    percent = facts["spent"] * 100 // facts["limit"]
    return Letter(
        subject,
        [
            f"{_who(facts)} has spent {spent} of its {limit} {_budget(facts)} ({percent} %).",
            f"A call that could cost up to {_asked(facts)} was refused at {spent} of {limit}." if refused else "",
            _rate(facts),
            _consequence(alert, facts, used_up=refused or facts["spent"] >= facts["limit"]),
            _reset(alert, facts),
        ],
        _budget_links(alert),
    )


def _too_large(alert: Alert, facts: Facts) -> Letter:
    spent, limit = (amount(facts[name], facts["unit"]) for name in ("spent", "limit"))
    return Letter(
        f"{_who(facts)}: call too large for what is left of its {limit} {_budget(facts)}",
        [
            f"A call that could cost up to {_asked(facts)} was refused at {spent} of {limit}.",
            "Smaller calls still go through. A lower output limit in the call makes its highest possible cost smaller.",
            "Further calls that are too large are refused without another message until the budget resets.",
            _reset(alert, facts),
        ],
        _budget_links(alert),
    )


def _overrun(alert: Alert, facts: Facts) -> Letter:
    cost, held = usd_display(facts["cost_pico"]), usd_display(facts["held_pico"])
    return Letter(
        f"{facts['agent']}: a call to {facts['model']} cost more than its ceiling",
        [
            f"A call of {facts['agent']} to {facts['model']} was held at {held} and cost {cost}.",
            "The whole cost is recorded. This must not happen: the rates of this model may be out of date.",
        ],
        [Link("See the call", _url("agents:call_detail", call_id=facts["call_id"]))],
    )


def _key_rejected(alert: Alert, facts: Facts) -> Letter:
    return Letter(
        f"{facts['provider']} no longer accepts your key",
        [
            f"{facts['provider']} rejected the stored key that ends in …{facts['key_hint']}.",
            "Calls to this provider fail until you connect a valid key.",
        ],
        [Link("Replace the key", _url("accounts:providers"))],
    )


def _behind(alert: Alert, facts: Facts) -> Letter:
    what = {"sums": "The sums on your pages", "alerts": "Alerts"}[facts["what"]]
    return Letter(
        f"{what} are behind",
        [
            f"{what} were {facts['minutes']} minutes behind your calls.",
            "Budgets hold all the same: every call is checked against the ledger itself.",
        ],
        [Link("Open the overview", _url("agents:overview"))],
    )


def _audit(alert: Alert, facts: Facts) -> Letter:
    count, shown = facts["count"], facts["differences"]
    noun = "difference" if count == 1 else "differences"
    return Letter(
        f"Books differ: {count} {noun} between budgets, calls and sums",
        [
            "The hourly audit compares what budgets have spent and hold with the calls, and the calls with their sums.",
            *shown,
            f"And {count - len(shown):,} more." if count > len(shown) else "",
            "Calls go on and nothing is put right by itself. Whoever runs this installation should run the audit "
            "command, which says what differs now.",
        ],
        [Link("Open the overview", _url("agents:overview"))],
    )


def _test(alert: Alert, facts: Facts) -> Letter:
    return Letter(
        "Test message from AWX Shredder",
        [f"{facts['by']} asked for this message. Alerts of {facts['organization']} will reach you here."],
        [Link("See all alerts", _url("alerts:alert_list"))],
    )


_WRITERS: dict[AlertKind, Callable[[Alert, Facts], Letter]] = {
    AlertKind.THRESHOLD: _threshold,
    AlertKind.TOO_LARGE: _too_large,
    AlertKind.OVERRUN: _overrun,
    AlertKind.KEY_REJECTED: _key_rejected,
    AlertKind.BEHIND: _behind,
    AlertKind.AUDIT: _audit,
    AlertKind.TEST: _test,
}


def amount(value: int, unit: str) -> str:
    """An amount of a budget in words: "$4.87", "12,000 tokens"."""
    return usd_display(value) if unit == Unit.USD else f"{value:,} {unit}"


def moment(at: datetime, zone: str) -> str:
    """A moment for people, in the organisation's zone and with its name."""
    return f"{at.astimezone(ZoneInfo(zone)):%A %-d %B %Y at %H:%M} ({zone})"


def _who(facts: Facts) -> str:
    name = facts["agent"] or facts["organization"]
    of_part = facts["scope"] not in {Scope.AGENT, Scope.ORGANIZATION} and facts["scope_name"]
    return f"{name} ({Scope(facts['scope']).label.lower()} {facts['scope_name']})" if of_part else str(name)


def _budget(facts: Facts) -> str:
    window = Window(facts["window"])
    return f"{_WINDOWS[window]} budget" if window in _WINDOWS else f"budget per {window.label.lower()}"


def _asked(facts: Facts) -> str:
    return amount(facts["asked"], facts["unit"])


def _rate(facts: Facts) -> str:
    """The speed of spending and, where it says something, how long the rest lasts at it."""
    per_hour = facts["rate_pico_per_hour"]
    if per_hour <= 0:
        return ""
    speed = f"In the last hour it spent {usd_display(per_hour)}"
    left = facts["limit"] - facts["spent"]
    if facts["unit"] != Unit.USD or left <= 0:
        return f"{speed}."
    lasts = timedelta(minutes=left * 60 // per_hour)
    return f"{speed}; at that rate the rest lasts {_span(lasts)}."


def _span(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    if span >= _LONG:
        return f"{span.days} days"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _consequence(alert: Alert, facts: Facts, *, used_up: bool) -> str:
    if facts["mode"] == Mode.SOFT:
        return "This budget only alerts: calls go on."
    if used_up:
        return "Calls that the budget cannot cover are refused until it resets or you raise the limit."
    return "When it is used up, calls are refused before they reach the provider."


def _reset(alert: Alert, facts: Facts) -> str:
    if alert.window_end is None:
        return "This budget does not reset by itself."
    return f"The budget resets on {moment(alert.window_end, facts['time_zone'])}."


def _budget_links(alert: Alert) -> list[Link]:
    if alert.agent_id is None:
        return [Link("Open the overview", _url("agents:overview")), Link("See the calls", _url("agents:call_list"))]
    calls = f"{_url('agents:call_list')}?{urlencode({'agent': alert.agent_id})}"
    return [
        Link("Raise the limit", _url("agents:agent_detail", agent_id=alert.agent_id)),
        Link("See the calls", calls),
    ]


def _url(name: str, **kwargs: object) -> str:
    return settings.SITE_URL.rstrip("/") + reverse(name, kwargs=kwargs)
