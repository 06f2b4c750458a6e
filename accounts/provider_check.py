"""Asks a provider whether it accepts a key, before we store it."""

from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

import httpx
from django.conf import settings

from accounts.addresses import AddressRefused, resolve

_TIMEOUT_SECONDS = 10
_ADDRESSES_MAX = 4
_REJECTED = {"openai": {401, 403}, "anthropic": {401, 403}, "google": {400, 401, 403}}


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


def check_key(provider: str, api_key: str) -> Check:
    """List the provider's models with this key: it costs nothing and needs a key that works.

    provider: openai, anthropic or google.
    """
    url, headers = _question(provider, api_key)
    try:
        status = _ask(url, headers)
    except AddressRefused as refusal:
        return Check(
            Verdict.UNKNOWN, f"{refusal}. The operator can allow this with SHREDDER_ALLOW_PRIVATE_UPSTREAMS=1."
        )
    except (httpx.HTTPError, OSError):
        return Check(Verdict.UNKNOWN, f"{urlsplit(url).hostname} could not be reached.")
    if status in _REJECTED[provider]:
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


def _ask(url: str, headers: dict[str, str]) -> int:
    """Return the status of a GET, dialled to an address that was checked, so that no second look-up can differ."""
    whole = httpx.URL(url)
    port = whole.port or (443 if whole.scheme == "https" else 80)
    addresses = resolve(whole.host, port, allow_private=settings.SHREDDER_ALLOW_PRIVATE_UPSTREAMS)
    with httpx.Client(timeout=_TIMEOUT_SECONDS, trust_env=False, follow_redirects=False) as client:
        for address in addresses[:_ADDRESSES_MAX]:
            try:
                return _get_at(client, whole, address, headers)
            except httpx.ConnectError:
                continue
    raise httpx.ConnectError("no address answered")


def _get_at(client: httpx.Client, url: httpx.URL, address: str, headers: dict[str, str]) -> int:
    dialled = url.copy_with(host=address)
    named = {**headers, "Host": url.netloc.decode()}
    # Only the status is read: the body is the provider's and could be large.
    with client.stream("GET", dialled, headers=named, extensions={"sni_hostname": url.host}) as response:
        return response.status_code
