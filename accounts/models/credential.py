from typing import ClassVar

from django.db import models

from accounts.ids import uuid7
from accounts.models.organization import Organization


class ProviderCredential(models.Model):
    """The secret that we show a provider: encrypted, write-only, bound to its origin (reliability.md 5.1)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="credentials")
    provider = models.CharField(max_length=40)  # openai, anthropic, google, or a custom provider's name
    # Empty for the one that every agent uses which has no other pinned (product.md W4).
    label = models.CharField(max_length=60, blank=True, default="", db_default="")
    sealed_key = models.BinaryField()
    key_hint = models.CharField(max_length=12)  # last four characters, for people
    # By which a caller who shows the key itself is recognised; empty for a key that somebody could guess.
    fingerprint = models.CharField(max_length=64, blank=True, default="", db_default="")
    # Empty for the provider's own address; otherwise part of what the key is bound to.
    base_url = models.CharField(max_length=300, blank=True)
    # Of custom providers: how they differ (accounts.presets), by preset and by what the organisation set.
    preset = models.CharField(max_length=40, blank=True, default="", db_default="")
    options = models.JSONField(default=dict, db_default={}, blank=True)
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    rejected_at = models.DateTimeField(null=True, blank=True)  # the provider answered 401 or 403 to this key

    class Meta:
        db_table = "provider_credential"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["organization", "provider", "label"], name="credential_once_per_label"),
        ]
        indexes: ClassVar = [models.Index(fields=["fingerprint"], name="credential_by_fingerprint")]

    def __str__(self) -> str:
        return f"{self.provider} …{self.key_hint}"
