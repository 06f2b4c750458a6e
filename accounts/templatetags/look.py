"""Pieces that every page draws: icons, budget bars, the theme, the reader's place."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.template.context import RequestContext
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.http import membership_of
from accounts.models import Membership

register = template.Library()

THEME_COOKIE = "theme"
THEMES = ("light", "dark")
_SPRITE = "vendor/lucide-1.62.0/icons.svg"
_WARN_SHARE = Decimal("0.8")


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Draw an icon of the sprite; with a label it speaks to screen readers, without it is decoration."""
    sprite = static(_SPRITE)
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}#{}"/></svg>', label, sprite, name
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', sprite, name)


@register.simple_tag
def signup_open() -> bool:
    """Whether anybody may sign up here; a link that leads to a closed door is none."""
    return bool(settings.SHREDDER_SIGNUP == "open")


@register.simple_tag(takes_context=True)
def theme(context: RequestContext) -> str:
    """Return light or dark where the reader chose one, else nothing: the system decides."""
    request = context.get("request")
    chosen = request.COOKIES.get(THEME_COOKIE, "") if request else ""
    return chosen if chosen in THEMES else ""


@register.simple_tag(takes_context=True)
def membership(context: RequestContext) -> Membership | None:
    """Return the reader's place in their organisation, also on pages that no decorator guards."""
    request = context.get("request")
    if request is None or not hasattr(request, "user"):
        return None
    if not hasattr(request, "membership"):
        request.membership = membership_of(request.user)
    found: Membership | None = request.membership
    return found


@register.simple_tag
def local_time(at: datetime, time_zone: str) -> SafeString:
    """Write an instant in an organisation's zone, with the exact one for machines and on hover."""
    local = at.astimezone(ZoneInfo(time_zone))
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(),
        f"{local:%Y-%m-%d %H:%M:%S %Z}",
        f"{local:%-d %b %Y, %H:%M}",
    )


@register.simple_tag
def local_date(at: datetime, time_zone: str) -> SafeString:
    """Write the day of an instant as an organisation's calendar has it, with the exact instant for machines."""
    local = at.astimezone(ZoneInfo(time_zone))
    return format_html('<time datetime="{}">{}</time>', local.isoformat(), f"{local:%-d %B %Y}")


@register.inclusion_tag("partials/bar.html")
def bar(spent: int, limit: int | None, held: int = 0, label: str = "", tone: str = "") -> dict[str, str]:
    """Draw what is spent and held of a limit, all in one unit, with marks at 50 and 80 %.

    A limit of None draws an empty track, since there is no share of what has no end. tone: bad colours the bar so
    below its end too, for a budget that refuses already.
    """
    spent_share = _share(spent, limit)
    held_share = min(_share(held, limit), 1 - spent_share)
    return {
        "spent_percent": _percent(spent_share),
        "held_percent": _percent(held_share),
        "tone": "bad" if spent_share >= 1 or tone == "bad" else "warn" if spent_share >= _WARN_SHARE else "good",
        "label": label or f"{_percent(spent_share)} spent",
    }


def _share(part: int, whole: int | None) -> Decimal:
    if whole is None:
        return Decimal(0)
    if whole == 0:
        return Decimal(1)
    return min(Decimal(part) / Decimal(whole), Decimal(1))


def _percent(share: Decimal) -> str:
    return f"{share * 100:.1f}%"


@register.simple_tag(takes_context=True)
def nav_current(context: RequestContext, address: str) -> SafeString:
    """Mark a link of the main navigation when the page lies under its address."""
    return _current(context, address, under=True)


@register.simple_tag(takes_context=True)
def nav_exact(context: RequestContext, address: str) -> SafeString:
    """Mark a link when it is this very page."""
    return _current(context, address, under=False)


def _current(context: RequestContext, address: str, *, under: bool) -> SafeString:
    request = context.get("request")
    path = request.path if request else ""
    here = path.startswith(address) if under else path == address
    return format_html(' aria-current="{}"', "page" if path == address else "true") if here else SafeString("")
