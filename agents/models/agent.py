from __future__ import annotations

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models

from accounts.ids import uuid7
from accounts.models import Organization
from agents.models.key import Key

SLUG = RegexValidator(r"^[a-z0-9._-]{1,64}\Z", "Use a–z, 0–9, dot, dash and underscore, at most 64 characters.")


class AgentQuerySet(models.QuerySet["Agent"]):
    def for_org(self, organization: Organization) -> AgentQuerySet:
        """Start from the tenant: only this organisation's agents."""
        return self.filter(organization=organization)

    def current(self) -> AgentQuerySet:
        """Leave out archived agents, whose history stays."""
        return self.filter(archived_at=None)


class Agent(models.Model):
    """A program that spends money."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="agents")
    slug = models.CharField(max_length=64, validators=[SLUG])  # stays when the name changes
    name = models.CharField(max_length=100)
    # Moves with every change that a running proxy must notice; the reserve function compares it.
    policy_version = models.BigIntegerField(default=1)
    default_output = models.PositiveIntegerField(default=16_384)  # tokens; the bound we add where a client names none
    refusal_status = models.PositiveSmallIntegerField(default=429, choices=[(429, "429"), (402, "402")])
    paused_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)  # paused, and running calls were cut
    # Set where a rule that needs history blocks the agent (loops over several windows); the cool-down's end.
    blocked_until = models.DateTimeField(null=True, blank=True)
    blocked_rule = models.CharField(max_length=16, blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    first_call_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_by_call = models.BooleanField(default=False, db_default=False)  # its first call named it (product.md W6)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AgentQuerySet.as_manager()

    class Meta:
        db_table = "agent"
        constraints: ClassVar = [models.UniqueConstraint(fields=["organization", "slug"], name="agent_slug_once")]

    def __str__(self) -> str:
        return self.name


class KeyMode(models.TextChoices):
    LIVE = "live", "Live"
    TEST = "test", "Test"


class AgentKey(Key):
    """The secret that an agent shows us."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="keys")
    mode = models.CharField(max_length=4, choices=KeyMode, default=KeyMode.LIVE)

    class Meta:
        db_table = "agent_key"

    def __str__(self) -> str:
        return f"awx_{self.mode}_{self.public_id}…"
