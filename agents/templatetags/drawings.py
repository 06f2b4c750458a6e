"""Charts and pills as templates draw them."""

from datetime import datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from agents.charts import Chart

register = template.Library()


@register.inclusion_tag("agents/partials/chart.html")
def chart(drawn: Chart, ident: str, link: str = "", half: bool = False) -> dict[str, object]:
    """Draw a chart for wide and for narrow screens.

    ident: a DOM id; link: the address that a column's own query is put after.
    half: it stands in half a page, where only the narrow drawing can be read.
    """
    return {"chart": drawn, "ident": ident, "link": link, "half": half}


@register.simple_tag
def pill(words: str, tone: str) -> SafeString:
    """A state in words, coloured by its tone: good, info, warn, bad, or idle for grey."""
    return format_html('<span class="pill pill-{}">{}</span>', tone, words)


@register.filter
def since_seconds(at: datetime) -> int:
    """Whole seconds since a moment."""
    return int((timezone.now() - at) / timedelta(seconds=1))
