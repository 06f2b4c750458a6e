"""Whom an alert is sent to."""

from uuid import UUID

from django.db.models import Q

from accounts.models import Membership, Role
from agents.models import Agent


def addresses(organization_id: UUID, agent_id: UUID | None) -> list[str]:
    """The organisation's owners and admins and, while a member, whoever created the agent; each address once."""
    wanted = Q(role__in=[Role.OWNER, Role.ADMIN])
    if agent_id is not None:
        creator = Agent.objects.filter(id=agent_id, organization_id=organization_id).values("created_by")
        wanted |= Q(user__in=creator)
    memberships = Membership.objects.filter(wanted, organization_id=organization_id, user__is_active=True)
    return sorted(set(memberships.values_list("user__email", flat=True)))
