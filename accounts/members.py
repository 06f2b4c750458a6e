"""Organisations and the people in them."""

from django.db import transaction

from accounts.models import AuditEntry, Membership, Organization, Role, User


def create_organization(name: str, *, owner: User, time_zone: str = "UTC") -> Organization:
    """Found an organisation with its first owner.

    time_zone: an IANA name; a budget's day begins at its midnight. The organisation's budgets are the caller's to make
    (agents.budgets.create_organization_budgets), since agents stands above accounts.
    """
    with transaction.atomic():
        organization = Organization(name=name, time_zone=time_zone)
        organization.full_clean()
        organization.save()
        Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
        AuditEntry.objects.create(organization=organization, user=owner, action="organization.created", target=name)
    return organization
