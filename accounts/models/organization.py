from __future__ import annotations

import zoneinfo
from typing import ClassVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import models

from accounts.ids import uuid7


def validate_time_zone(name: str) -> None:
    """Raise ValidationError unless name is an IANA time zone."""
    if name not in zoneinfo.available_timezones():
        raise ValidationError("Choose a time zone from the list.", code="time_zone")


class Organization(models.Model):
    """A tenant. Its time zone decides where a budget's day begins."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=100)
    time_zone = models.CharField(max_length=64, default="UTC", validators=[validate_time_zone])
    # Moves with every change that a running proxy must notice; the reserve function compares it.
    policy_version = models.BigIntegerField(default=1)
    suspended_at = models.DateTimeField(null=True, blank=True)
    # Agents that the first call with a new id makes (product.md W6): whether, how many a day, with how much a day.
    allows_new_agents = models.BooleanField(default=False, db_default=False)
    new_agents_max = models.PositiveSmallIntegerField(default=20, db_default=20)
    new_agent_daily_pico = models.BigIntegerField(default=5 * 10**12, db_default=5 * 10**12)
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField("accounts.User", through="accounts.Membership", related_name="organizations")

    class Meta:
        db_table = "organization"

    def __str__(self) -> str:
        return self.name

    @classmethod
    def locked(cls, organization_id: UUID) -> Organization:
        """The organisation as it is now, and nobody else's to change until this transaction ends.

        Whoever locks more than this locks this first, so that no two changes wait in a ring.
        """
        return cls.objects.select_for_update(no_key=True).get(pk=organization_id)


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    MEMBER = "member", "Member"
    VIEWER = "viewer", "Viewer"


class Membership(models.Model):
    """A person's place in an organisation."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "membership"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "user"], name="membership_once"),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.organization} ({self.role})"

    @property
    def may_change(self) -> bool:
        """Members change agents and budgets; viewers look."""
        return self.role != Role.VIEWER

    @property
    def may_administer(self) -> bool:
        """Owners and admins change credentials, members and the organisation itself."""
        return self.role in {Role.OWNER, Role.ADMIN}

    @property
    def may_choose_addresses(self) -> bool:
        """Owners alone say to which addresses of their own choice keys and prompts are sent."""
        return self.role == Role.OWNER
