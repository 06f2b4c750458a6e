from django.db import models

from accounts.models import Organization
from agents.models.key import Key


class OrganizationKey(Key):
    """The secret of programs that name their agent in a header (product.md W6 b)."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="keys")

    class Meta:
        db_table = "organization_key"

    def __str__(self) -> str:
        return f"awx_org_{self.public_id}…"
