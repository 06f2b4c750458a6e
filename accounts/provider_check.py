"""Asks a provider whether it accepts a key, before we store it."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from accounts import outbound
from accounts.addresses import AddressRefused
from accounts.credentials import Upstream
from accounts.presets import preset_of

_REJECTED = {"openai": {401, 403}, "anthropic": {401, 403}, "google": {400, 401, 403}}
_REJECTED_BY_CUSTOM = frozenset({401, 403})


class Verdict(Enum):
    """What the provider said of a key."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"  # it could not be asked, or answered something else


@dataclass(frozen=True, slots=True)
class Check:
    """One question to a provider and its outcome; `detail` is for people and never holds the key."""

    verdict: Verdict
    detail: str = ""

    def may_be_stored(self, action: str) -> bool:
        """A key that the provider rejects is never stored; one that could not be tested only on request.

        action: the button that was pressed: test, save or save_untested.
        """
        if self.verdict is Verdict.ACCEPTED:
            return action != "test"
        return self.verdict is Verdict.UNKNOWN and action == "save_untested"

    def accepted_at(self, now: datetime) -> datetime | None:
        """The moment of this check, where the provider accepted the key."""
        return now if self.verdict is Verdict.ACCEPTED else None


def check_key(provider: str, api_key: str) -> Check:
    """List the provider's models with this key: it costs nothing and needs a key that works.

    provider: openai, anthropic or google.
    """
    return _ask(*_question(provider, api_key), rejected=_REJECTED[provider])


def check_custom(upstream: Upstream, api_key: str) -> Check:
    """The same for a provider that an organisation connects itself; an empty key is not shown."""
    preset = preset_of(upstream.preset)
    version = upstream.options.get("api_version")
    url = f"{upstream.base_url}/openai/models?api-version={version}" if version else f"{upstream.base_url}/models"
    shown = {preset.key_header: api_key} if preset.key_header else {"Authorization": f"Bearer {api_key}"}
    return _ask(url, shown if api_key else {}, rejected=_REJECTED_BY_CUSTOM)


def _ask(url: str, headers: dict[str, str], *, rejected: Container[int]) -> Check:
    try:
        status = outbound.status_of("GET", url, headers)
    except AddressRefused as refusal:
        return Check(
            Verdict.UNKNOWN, f"{refusal}. The operator can allow this with SHREDDER_ALLOW_PRIVATE_UPSTREAMS=1."
        )
    except (httpx.HTTPError, OSError, UnicodeError):
        return Check(Verdict.UNKNOWN, f"{urlsplit(url).hostname} could not be reached.")
    if status in rejected:
        return Check(Verdict.REJECTED, f"It answered {status}.")
    if status == httpx.codes.OK:
        return Check(Verdict.ACCEPTED)
    return Check(Verdict.UNKNOWN, f"It answered {status}, which says nothing about the key.")


def _question(provider: str, api_key: str) -> tuple[str, dict[str, str]]:
    if provider == "openai":
        base = settings.SHREDDER_OPENAI_BASE_URL or "https://api.openai.com/v1"
        return f"{base.rstrip('/')}/models", {"Authorization": f"Bearer {api_key}"}
    if provider == "anthropic":
        base = settings.SHREDDER_ANTHROPIC_BASE_URL or "https://api.anthropic.com"
        return f"{base.rstrip('/')}/v1/models", {"x-api-key": api_key, "anthropic-version": "2023-06-01"}
    base = settings.SHREDDER_GEMINI_BASE_URL or "https://generativelanguage.googleapis.com"
    return f"{base.rstrip('/')}/v1beta/models?pageSize=1", {"x-goog-api-key": api_key}
