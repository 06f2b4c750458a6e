from typing import ClassVar

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from accounts.ids import uuid7
from accounts.models import Organization


class CustomRate(models.Model):
    """An organisation's own price of a model (B12): pico-dollars per million tokens, and per call.

    Never edited: a new price ends the old row, so that calls can be priced again as they were.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="rates")
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=128)
    input_pico = models.BigIntegerField(validators=[MinValueValidator(0)])
    cache_read_pico = models.BigIntegerField(null=True, blank=True, validators=[MinValueValidator(0)])  # none: as input
    cache_write_pico = models.BigIntegerField(null=True, blank=True, validators=[MinValueValidator(0)])
    output_pico = models.BigIntegerField(validators=[MinValueValidator(0)])
    call_pico = models.BigIntegerField(default=0, validators=[MinValueValidator(0)])
    created_by = models.ForeignKey("accounts.User", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "custom_rate"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization", "provider", "model"], condition=Q(ended_at=None), name="custom_rate_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.model}"
