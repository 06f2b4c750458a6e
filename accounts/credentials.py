"""Provider credentials: connect, open, disconnect. The key itself is write-only for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.dispatch import Signal
from django.utils import timezone

from accounts.fingerprints import fingerprint
from accounts.models import AuditEntry, Organization, ProviderCredential, User
from accounts.vault import seal, unseal

# Keys of a provider are longer. A shorter one, such as the placeholder that a server without keys takes, names nobody.
TELLING_KEY_LENGTH_MIN = 20
PROVIDERS = {"openai": "OpenAI", "anthropic": "Anthropic", "google": "Google Gemini"}
# Sent where the name of a custom provider begins or ceases to stand for an address, with organization, provider and by,
# inside that transaction: what is kept under the name was meant for another address.
name_changed_hands = Signal()


@dataclass(frozen=True, slots=True)
class OpenCredential:
    """A credential ready for use; its secret stays out of representations."""

    credential_id: UUID
    provider: str
    base_url: str  # empty: the provider's own
    api_key: str = field(repr=False)  # empty: the provider takes calls without
    preset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where a custom provider is and how it differs.

    base_url: as base_urls.normalized gives it. preset: a slug of accounts.presets. options: what the organisation set
    otherwise: cap_field, takes_stream_options, api_version, deployments (name → the price book's model).
    """

    base_url: str
    preset: str
    options: Mapping[str, Any] = field(default_factory=dict)


class KeyNeeded(Exception):
    """The stored key was for another origin, and must not be shown to this one."""


class NameTaken(Exception):
    """Somebody else connected a key under this name meanwhile."""


def connect(
    organization: Organization,
    provider: str,
    api_key: str,
    *,
    by: User | None,
    checked_at: datetime | None = None,
    label: str = "",
    upstream: Upstream | None = None,
    new: bool = False,
) -> ProviderCredential:
    """Store or replace the organisation's key for a provider, encrypted.

    provider: one of PROVIDERS, or a custom provider's name, with its upstream; checked_at: when the provider last
    accepted this key, None if nobody asked. label: of a further key beside the usual one, for agents that are pinned
    to it. new: it must not take another's place; raises NameTaken. The change is in force for the next call, through
    the policy version.
    """
    with transaction.atomic():
        _stand_still(organization)
        credential, is_new = ProviderCredential.objects.get_or_create(
            organization=organization, provider=provider, label=label, defaults={"sealed_key": b"", "key_hint": ""}
        )
        if new and not is_new:
            raise NameTaken
        _place(credential, upstream)
        credential.sealed_key = seal(api_key, binding=_binding(credential))
        credential.key_hint = api_key[-4:]
        credential.fingerprint = fingerprint_of(api_key)
        credential.created_by = by
        credential.rejected_at = None
        credential.checked_at = checked_at
        credential.created_at = timezone.now()
        credential.save()
        _record_change(organization, "credential.connected", credential, by)
        if is_new:
            _tell_of_name(credential, by)
    return credential


def move(credential: ProviderCredential, upstream: Upstream, *, by: User | None) -> None:
    """Change what a custom provider is, with the key that is there.

    Raises KeyNeeded for another origin, also where somebody else moved it or took it away since it was read.
    """
    with transaction.atomic():
        _stand_still(credential.organization)
        now = ProviderCredential.objects.filter(pk=credential.pk).first()
        if now is None or not same_origin(upstream.base_url, now.base_url):
            raise KeyNeeded
        _place(now, upstream)
        now.save(update_fields=["base_url", "preset", "options"])
        _record_change(now.organization, "credential.changed", now, by)


def upstream_of(credential: ProviderCredential) -> Upstream | None:
    """Where a custom provider is; None for the built-in ones."""
    if credential.provider in PROVIDERS:
        return None
    return Upstream(credential.base_url, credential.preset, credential.options)


def same_origin(one: str, other: str) -> bool:
    """Whether a key that is bound to one base URL may be shown at another."""
    return _origin(one) == _origin(other)


def usual_of(organization: Organization, provider: str) -> ProviderCredential | None:
    """The key that every agent uses which has no other pinned."""
    return ProviderCredential.objects.filter(organization=organization, provider=provider, label="").first()


def fingerprint_of(api_key: str) -> str:
    """Return what a provider's key is recognised by; empty for one that is too short to say who shows it."""
    return fingerprint(api_key) if len(api_key) >= TELLING_KEY_LENGTH_MIN else ""


def organizations_with(api_key: str) -> list[Organization]:
    """Return the organisations that connected this very key, two at most: more than one says nothing."""
    digest = fingerprint(api_key)
    owners = ProviderCredential.objects.filter(fingerprint=digest).values("organization_id")
    return list(Organization.objects.filter(id__in=owners)[:2])


def disconnect(credential: ProviderCredential, *, by: User | None) -> None:
    """Forget a provider's key; calls to that provider are refused from now on. A second click changes nothing."""
    with transaction.atomic():
        _stand_still(credential.organization)
        if ProviderCredential.objects.filter(pk=credential.pk).exists():
            credential.delete()
            _record_change(credential.organization, "credential.disconnected", credential, by)
            _tell_of_name(credential, by)


def note_rejection(
    organization_id: UUID, provider: str, *, called_at: datetime, credential_id: UUID | None = None
) -> None:
    """Remember that a provider did not take our key for a call that began at called_at; a newer key is not meant.

    credential_id: which key it was; None: the usual one.
    """
    which = {"label": ""} if credential_id is None else {"id": credential_id}
    ProviderCredential.objects.filter(
        organization_id=organization_id, provider=provider, rejected_at=None, created_at__lt=called_at, **which
    ).update(rejected_at=timezone.now())


def open_credential(credential: ProviderCredential) -> OpenCredential:
    """Decrypt a credential for use; raises vault.SealBroken."""
    secret = unseal(bytes(credential.sealed_key), binding=_binding(credential))
    return OpenCredential(
        credential_id=credential.id, provider=credential.provider, base_url=credential.base_url, api_key=secret,
        preset=credential.preset, options=credential.options,
    )  # fmt: skip


def _stand_still(organization: Organization) -> None:
    """Let one change of an organisation's keys follow another; always the first lock, so that none waits in a ring."""
    Organization.locked(organization.id)


def _place(credential: ProviderCredential, upstream: Upstream | None) -> None:
    if upstream is not None:
        credential.base_url, credential.preset = upstream.base_url, upstream.preset
        credential.options = dict(upstream.options)


def _record_change(organization: Organization, action: str, credential: ProviderCredential, by: User | None) -> None:
    Organization.objects.filter(id=organization.id).update(policy_version=F("policy_version") + 1)
    details: dict[str, Any] = {}
    if credential.base_url:
        details = {"base_url": credential.base_url, "preset": credential.preset, "options": credential.options}
    AuditEntry.objects.create(
        organization=organization, user=by, action=action, target=spoken(credential), details=details
    )


def _tell_of_name(credential: ProviderCredential, by: User | None) -> None:
    """Only the usual key of a custom provider: further ones come and go under the same name."""
    if credential.base_url and not credential.label:
        name_changed_hands.send(
            ProviderCredential, organization=credential.organization, provider=credential.provider, by=by
        )


def spoken(credential: ProviderCredential) -> str:
    """A credential's name for people."""
    return f"{credential.provider} ({credential.label})" if credential.label else credential.provider


def _binding(credential: ProviderCredential) -> bytes:
    origin = _origin(credential.base_url)
    return f"{credential.organization_id}|{credential.provider}|{credential.id}|{origin}".encode()


def _origin(base_url: str) -> str:
    parts = urlsplit(base_url)
    return f"{parts.scheme}://{parts.netloc}" if base_url else ""
