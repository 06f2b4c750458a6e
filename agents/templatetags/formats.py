"""How amounts, times and counts look: one place, so that two pages never show one number in two ways."""

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agents import budget_words, money

register = template.Library()

_MINUTE_SECONDS, _HOUR_SECONDS, _DAY_SECONDS = 60, 3600, 86_400
_CALL_PLACES = 4
_CALL_UNIT_PICO = money.PICO_PER_USD // 10**_CALL_PLACES


@register.filter
def usd(pico: int | Decimal | None) -> str:
    """Pico-dollars for people; a dash where there is no amount."""
    return "–" if pico is None else money.usd_display(int(pico))


@register.filter
def usd_call(pico: int | None) -> str:
    """The cost of one call: four places, so that costs in a column compare; more where it would vanish."""
    if pico is None:
        return "–"
    amount = abs(int(pico))
    if 0 < amount < _CALL_UNIT_PICO:
        return money.usd_display(int(pico))
    whole, places = divmod((amount + _CALL_UNIT_PICO // 2) // _CALL_UNIT_PICO, 10**_CALL_PLACES)
    return f"{'-' if pico < 0 else ''}${whole:,}.{places:0{_CALL_PLACES}d}"


@register.filter
def usd_exact(pico: int | None) -> str:
    """Pico-dollars with every digit."""
    if pico is None:
        return "–"
    return f"{'-' if pico < 0 else ''}${money.usd_exact(abs(int(pico)))}"


@register.filter
def usd_rate(pico: int | None) -> str:
    """A rate as the price list writes it: every digit, at least two places: "$0.125", "$3.00", "$1,500.00"."""
    return "–" if pico is None else money.usd_full(int(pico))


@register.filter
def usd_plain(pico: int | None) -> str:
    """Pico-dollars as a form field wants them: "5", "0.25"; empty where there is no amount."""
    if pico is None:
        return ""
    return money.usd_exact(int(pico)).rstrip("0").rstrip(".")


@register.filter
def in_unit(value: int | None, unit: str) -> str:
    """An amount of a budget in its unit: "$4.87", "12,000 tokens"."""
    return "–" if value is None else budget_words.amount(unit, value)


@register.filter
def unit_words(unit: str) -> str:
    """A budget's unit in the plural: "dollars", "calls"."""
    return budget_words.unit_words(unit)


@register.filter
def limit_phrase(budget: budget_words.Described) -> str:
    """A budget's limit as part of a sentence: "$100.00 a day"."""
    return budget_words.phrase(budget)


@register.filter
def count(number: int | None) -> str:
    """A count with its thousands separated."""
    return "–" if number is None else f"{int(number):,}"


@register.filter
def milliseconds(duration_ms: int | None) -> str:
    """A latency: "380 ms", "1.9 s", "2 min 5 s"."""
    if duration_ms is None:
        return "–"
    if duration_ms < 1000:
        return f"{duration_ms} ms"
    seconds = duration_ms / 1000
    return f"{seconds:.1f} s" if seconds < _MINUTE_SECONDS else duration(timedelta(seconds=int(seconds)))


@register.filter
def duration(length: timedelta) -> str:
    """A stretch of time in its two largest units: "5 h 12 min", "3 d 4 h", "40 s"."""
    seconds = max(0, int(length.total_seconds()))
    if seconds < _MINUTE_SECONDS:
        return f"{seconds} s"
    units = (("d", _DAY_SECONDS), ("h", _HOUR_SECONDS), ("min", _MINUTE_SECONDS), ("s", 1))
    parts = []
    for name, size in units:
        amount, seconds = divmod(seconds, size)
        if amount:
            parts.append(f"{amount} {name}")
        elif parts:
            break
    return " ".join(parts[:2])


@register.filter
def until(at: datetime | None) -> str:
    """How long from now until then."""
    return "never" if at is None else f"in {duration(at - timezone.now())}"


@register.filter
def clock(at: datetime | None, zone: str) -> str:
    """A moment on the clock of a zone, which it names: "Mon 23 Nov, 00:00 CET"."""
    if at is None:
        return "never"
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.day} {local:%b}, {local:%H:%M} {zone_name(at, zone)}"


@register.filter
def clock_exact(at: datetime | None, zone: str) -> str:
    """A moment to the millisecond, with the zone."""
    if at is None:
        return "–"
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 1000:03d} {zone_name(at, zone)}"


@register.filter
def zone_name(at: datetime, zone: str) -> str:
    """What a zone is called at that moment: "CET", or "UTC+05" where it has only an offset."""
    name = at.astimezone(ZoneInfo(zone)).tzname() or zone
    return f"UTC{name}" if name[:1] in "+-" else name


@register.simple_tag
def ago(at: datetime | None, zone: str) -> str | SafeString:
    """A moment as people say it, the exact one in its title and for machines."""
    if at is None:
        return "never"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), clock_exact(at, zone), _relative(at, zone)
    )


def _relative(at: datetime, zone: str) -> str:
    age = timezone.now() - at
    seconds = age.total_seconds()
    if seconds < 5:
        return "just now"
    if seconds < _DAY_SECONDS:
        return f"{_largest_unit(int(seconds))} ago"
    local = at.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%b}, {local:%H:%M}"


def _largest_unit(seconds: int) -> str:
    if seconds < _MINUTE_SECONDS:
        return f"{seconds} s"
    if seconds < _HOUR_SECONDS:
        return f"{seconds // _MINUTE_SECONDS} min"
    return f"{seconds // _HOUR_SECONDS} h"


_REASONS = {
    "budget_exceeded": "the budget is used up",
    "call_too_expensive": "the call could cost more than one call may",
    "held_in_flight": "running calls hold the rest of the budget",
    "agent_paused": "the agent is paused",
    "agent_stopped": "the agent was stopped",
    "agent_unknown": "the agent is not known",
    "model_not_allowed": "the model is not allowed",
    "unpriced_model": "the model has no price",
    "unpriced_feature": "the call uses something without a price",
    "unsupported_endpoint": "the address is not supported",
    "provider_not_connected": "the provider is not connected",
    "unbounded_call": "the call has no upper bound",
    "output_too_long": "the call asks for more output than the agent may",
    "agent_required": "a header is missing that the agent requires",
    "client_gone": "the client went away",
    "key_revoked": "the key was revoked",
    "amended": "corrected by hand",
    "late_settle": "settled after its hold had expired",
    "usage_missing": "the provider sent no usage",
    "settle_conflict": "a second end that contradicts the first; it moved nothing",
}


@register.filter
def reason_words(reason: str) -> str:
    """Why a call was refused or failed, in words."""
    return _REASONS.get(reason, reason.replace("_", " "))
