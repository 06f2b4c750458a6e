"""How long a provider asks to wait after a 429, read from its headers. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil

# A provider that asks for longer speaks of a quota; whether it has ended is found out by asking again.
HELD_MS_MAX = 600_000


def asked_wait_ms(headers: Mapping[str, str], now: datetime) -> int:
    """Milliseconds to wait, at most HELD_MS_MAX; 0 where the headers ask for none or cannot be read.

    headers: with retry-after-ms, or retry-after in seconds or as an HTTP date (RFC 9110, 10.2.3); now: aware.
    """
    asked = _number(headers.get("retry-after-ms", ""))
    if asked is None:
        text = headers.get("retry-after", "").strip()
        seconds = _number(text)
        asked = seconds * 1000 if seconds is not None else _until(text, now)
    # Written so that a NaN asks for nothing.
    return ceil(min(asked, HELD_MS_MAX)) if asked > 0 else 0


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _until(text: str, now: datetime) -> float:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds() * 1000
