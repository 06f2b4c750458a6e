"""Whose key a caller shows: an agent's, an organisation's, or a provider's that one organisation connected (W6)."""

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from accounts.credentials import organizations_with
from accounts.fingerprints import fingerprint
from accounts.models import Organization
from agents import key_text
from agents.key_text import KeyRejected
from agents.models import Agent, AgentKey, KeyMode, OrganizationKey

_LAST_USED_GRAIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a key. agent: None where the call itself must name it; maker: the key in words, for the audit log."""

    organization: Organization
    agent: Agent | None = None
    key_id: int | None = None
    organization_key_id: int | None = None
    practice: bool = False
    expires_at: datetime | None = None
    maker: str = ""


def holder_of(whole: str) -> Holder:
    """Return who holds this key; raises KeyRejected.

    The same work is done for an unknown key as for a known one, and digests are compared in constant time.
    """
    if not whole.startswith(key_text.PREFIX):
        return _of_providers_key(whole)
    text = key_text.read(whole)
    if text.kind == key_text.ORGANIZATION:
        return _of_organization_key(whole, text)
    return _of_agent_key(whole, text)


def _of_agent_key(whole: str, text: key_text.KeyText) -> Holder:
    key = AgentKey.objects.select_related("agent__organization").filter(public_id=text.public_id).first()
    _check(key, whole, text)
    assert key is not None, "checked"
    if key.agent.archived_at is not None:
        raise KeyRejected("archived", str(text))
    _check_organization(key.agent.organization, text)
    _note_use(key)
    return Holder(
        key.agent.organization, key.agent, key_id=key.id, practice=key.mode == KeyMode.TEST, expires_at=key.expires_at
    )


def _of_organization_key(whole: str, text: key_text.KeyText) -> Holder:
    key = OrganizationKey.objects.select_related("organization").filter(public_id=text.public_id).first()
    _check(key, whole, text)
    assert key is not None, "checked"
    _check_organization(key.organization, text)
    _note_use(key)
    return Holder(
        key.organization, organization_key_id=key.id, expires_at=key.expires_at, maker=f"organisation key {key}"
    )


def _of_providers_key(whole: str) -> Holder:
    """Nothing but the keyed hash is compared, by an index that nobody outside can aim at."""
    owners = organizations_with(whole)
    if len(owners) != 1:
        raise KeyRejected("ambiguous" if owners else "foreign")
    return Holder(owners[0], maker="a connected provider's key")


def _check(key: AgentKey | OrganizationKey | None, whole: str, text: key_text.KeyText) -> None:
    matches = hmac.compare_digest(fingerprint(whole), key.digest if key else "0" * 64)
    if key is None or not matches:
        raise KeyRejected("unknown", str(text))
    if key.revoked_at is not None:
        raise KeyRejected("revoked", str(text))
    if not key.is_usable(timezone.now()):
        raise KeyRejected("expired", str(text))


def _check_organization(organization: Organization, text: key_text.KeyText) -> None:
    if organization.suspended_at is not None:
        raise KeyRejected("suspended", str(text))


def _note_use(key: AgentKey | OrganizationKey) -> None:
    """Remember the time, at most once a minute, so that a busy key writes little."""
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > _LAST_USED_GRAIN:
        type(key)._default_manager.filter(pk=key.pk).update(last_used_at=now)
