"""Provider credentials: connect, open, disconnect. The key itself is write-only for people."""

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts.fingerprints import fingerprint
from accounts.models import AuditEntry, Organization, ProviderCredential, User
from accounts.vault import seal, unseal

# Keys of a provider are longer. A shorter one, such as the placeholder that a server without keys takes, names nobody.
TELLING_KEY_LENGTH_MIN = 20
PROVIDERS = {"openai": "OpenAI", "anthropic": "Anthropic", "google": "Google Gemini"}


@dataclass(frozen=True, slots=True)
class OpenCredential:
    """A credential ready for use; its secret stays out of representations."""

    credential_id: UUID
    provider: str
    base_url: str  # empty: the provider's own
    api_key: str = field(repr=False)


def connect(
    organization: Organization, provider: str, api_key: str, *, by: User | None, checked_at: datetime | None = None
) -> ProviderCredential:
    """Store or replace the organisation's key for a provider, encrypted.

    provider: one of PROVIDERS; checked_at: when the provider last accepted this key, None if nobody asked. The change
    is in force for the next call, through the policy version.
    """
    with transaction.atomic():
        organization = Organization.objects.select_for_update(no_key=True).get(id=organization.id)
        credential, _ = ProviderCredential.objects.get_or_create(
            organization=organization, provider=provider, defaults={"sealed_key": b"", "key_hint": ""}
        )
        credential.sealed_key = seal(api_key, binding=_binding(credential))
        credential.key_hint = api_key[-4:]
        credential.fingerprint = fingerprint_of(api_key)
        credential.created_by = by
        credential.rejected_at = None
        credential.checked_at = checked_at
        credential.created_at = timezone.now()
        credential.save()
        _record_change(organization, "credential.connected", provider, by)
    return credential


def fingerprint_of(api_key: str) -> str:
    """Return what a provider's key is recognised by; empty for one that is too short to say who shows it."""
    return fingerprint(api_key) if len(api_key) >= TELLING_KEY_LENGTH_MIN else ""


def organizations_with(api_key: str) -> list[Organization]:
    """Return the organisations that connected this very key, two at most: more than one says nothing."""
    digest = fingerprint(api_key)
    owners = ProviderCredential.objects.filter(fingerprint=digest).values("organization_id")
    return list(Organization.objects.filter(id__in=owners)[:2])


def disconnect(credential: ProviderCredential, *, by: User | None) -> None:
    """Forget a provider's key; calls to that provider are refused from now on."""
    with transaction.atomic():
        credential.delete()
        _record_change(credential.organization, "credential.disconnected", credential.provider, by)


def note_rejection(organization_id: UUID, provider: str, *, called_at: datetime) -> None:
    """Remember that a provider did not take our key for a call that began at called_at; a newer key is not meant."""
    ProviderCredential.objects.filter(
        organization_id=organization_id, provider=provider, rejected_at=None, created_at__lt=called_at
    ).update(rejected_at=timezone.now())


def open_credential(credential: ProviderCredential) -> OpenCredential:
    """Decrypt a credential for use; raises vault.SealBroken."""
    secret = unseal(bytes(credential.sealed_key), binding=_binding(credential))
    return OpenCredential(credential.id, credential.provider, credential.base_url, secret)


def _record_change(organization: Organization, action: str, provider: str, by: User | None) -> None:
    Organization.objects.filter(id=organization.id).update(policy_version=F("policy_version") + 1)
    AuditEntry.objects.create(organization=organization, user=by, action=action, target=provider)


def _binding(credential: ProviderCredential) -> bytes:
    parts = urlsplit(credential.base_url)
    origin = f"{parts.scheme}://{parts.netloc}" if credential.base_url else ""
    return f"{credential.organization_id}|{credential.provider}|{credential.id}|{origin}".encode()
