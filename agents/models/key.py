from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from datetime import datetime


class Key(models.Model):
    """A secret that a caller shows us: only a keyed hash is stored (reliability.md 5.1)."""

    public_id = models.CharField(max_length=8, unique=True)
    digest = models.CharField(max_length=64)  # HMAC-SHA256 in hexadecimal
    pepper_version = models.PositiveSmallIntegerField(default=1)
    name = models.CharField(max_length=100, blank=True)
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    def is_usable(self, at: datetime) -> bool:
        """Neither revoked nor expired at that time."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)
