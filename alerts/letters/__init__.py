"""What a message says, and how moments and links are written in it. Links are built from SITE_URL only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse

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


def moment(at: datetime, zone: str) -> str:
    """A moment for people, in the organisation's zone and with its name."""
    return f"{at.astimezone(ZoneInfo(zone)):%A %-d %B %Y at %H:%M} ({zone})"


def span(length: timedelta) -> str:
    """A stretch of time for people: "2 h 5 min", "3 days"."""
    minutes = int(length.total_seconds()) // 60
    if length >= _LONG:
        return f"{length.days} days"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def page(name: str, **kwargs: object) -> str:
    """The address of one of our pages."""
    return settings.SITE_URL.rstrip("/") + reverse(name, kwargs=kwargs)


def calls_link(label: str, **filters: object) -> Link:
    """A link to the calls that are meant; filters that are empty are left out."""
    query = urlencode({name: value for name, value in filters.items() if value})
    return Link(label, page("agents:call_list") + (f"?{query}" if query else ""))
