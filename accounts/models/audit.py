from typing import ClassVar

from django.db import models

from accounts.ids import uuid7
from accounts.models.organization import Organization


class AuditEntry(models.Model):
    """One change that a person made: written in the transaction of the change, never edited, never with a secret.

    `confirmation.missing` is one that was not made: accounts.confirmation.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="audit_entries")
    user = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=60)  # "agent.paused", "budget.limit_set"
    target = models.CharField(max_length=120)  # what people call it: the agent's name, the provider
    details = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "audit_entry"
        indexes: ClassVar = [models.Index(fields=["organization", "-at"], name="audit_by_time")]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"
