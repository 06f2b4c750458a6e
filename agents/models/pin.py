"""PinnedCredential: which of an organisation's keys for a provider an agent uses."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from accounts.models import ProviderCredential
from agents.models.agent import Agent


class PinnedCredential(models.Model):
    """An agent's own choice of a provider's key (product.md W4); without one it uses the usual key."""

    agent = models.ForeignKey(Agent, models.CASCADE, related_name="pinned_credentials")
    provider = models.CharField(max_length=40)
    # Empty once that key was disconnected: the agent must not spend another account's money in its place.
    credential = models.ForeignKey(ProviderCredential, models.SET_NULL, null=True, related_name="+")

    class Meta:
        db_table = "pinned_credential"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agent", "provider"], name="credential_pinned_once"),
        ]

    def __str__(self) -> str:
        return f"{self.agent} at {self.provider}"
