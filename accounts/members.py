"""Organisations and the people in them."""

from django.db import transaction
from django.db.models import F

from accounts.models import AuditEntry, Membership, Organization, Role, User


def create_organization(name: str, *, owner: User, time_zone: str = "UTC") -> Organization:
    """Found an organisation with its first owner.

    time_zone: an IANA name; a budget's day begins at its midnight. The organisation's meter is the caller's to make
    (agents.budgets.ensure_organization_meter), since agents stands above accounts.
    """
    with transaction.atomic():
        organization = Organization(name=name, time_zone=time_zone)
        organization.full_clean()
        organization.save()
        Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
        AuditEntry.objects.create(organization=organization, user=owner, action="organization.created", target=name)
    return organization


def change_organization(organization: Organization, *, name: str, time_zone: str, by: User) -> None:
    """Rename an organisation or move its day; running proxies notice through the policy version."""
    with transaction.atomic():
        before = Organization.locked(organization.id)
        changed = {"name": [before.name, name], "time_zone": [before.time_zone, time_zone]}
        changed = {field: values for field, values in changed.items() if values[0] != values[1]}
        if not changed:
            return
        Organization.objects.filter(id=organization.id).update(
            name=name, time_zone=time_zone, policy_version=F("policy_version") + 1
        )
        AuditEntry.objects.create(
            organization=organization, user=by, action="organization.changed", target=name, details=changed
        )
