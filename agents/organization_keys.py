"""Keys of organisations: issued and revoked. Whoever holds one names the agent that calls (product.md W6 b)."""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.fingerprints import fingerprint
from accounts.models import AuditEntry, Organization, User
from agents import budgets, key_text
from agents.ledger import Stop
from agents.models import OrganizationKey


def issue(
    organization: Organization, *, by: User | None, name: str = "", expires_at: datetime | None = None
) -> tuple[OrganizationKey, str]:
    """Make a key; the whole key is returned this once and never stored."""
    public_id, whole = key_text.make(key_text.ORGANIZATION)
    with transaction.atomic():
        key = OrganizationKey.objects.create(
            organization=organization, public_id=public_id, digest=fingerprint(whole), name=name, created_by=by,
            pepper_version=key_text.PEPPER_VERSION, expires_at=expires_at,
        )  # fmt: skip
        _record(key, "organization_key.issued", by)
    return key, whole


def revoke(key: OrganizationKey, *, by: User | None) -> None:
    """End a key: the next call with it is refused on every worker, and its running calls are cut.

    The organisation's policy version covers it, so that admission has no further table to look at.
    """
    with transaction.atomic():
        budgets.touch_organization(key.organization_id)
        if OrganizationKey.objects.filter(id=key.id, revoked_at=None).update(revoked_at=timezone.now()):
            _record(key, "organization_key.revoked", by)
        budgets.announce(Stop("organization_key", key.id, shown=str(key)))


def _record(key: OrganizationKey, action: str, by: User | None) -> None:
    AuditEntry.objects.create(
        organization_id=key.organization_id, user=by, action=action, target=key.name or str(key),
        details={"key": str(key)},
    )  # fmt: skip
