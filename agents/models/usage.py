from typing import ClassVar

from django.db import models


class UsageSums(models.Model):
    """What both sums count, per organisation, agent and model; practice calls are left out."""

    organization_id = models.UUIDField()
    agent_id = models.UUIDField()
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=128)
    call_count = models.BigIntegerField(default=0)
    failed_count = models.BigIntegerField(default=0)
    refused_count = models.BigIntegerField(default=0)
    refused_pico = models.DecimalField(max_digits=30, decimal_places=0, default=0)  # what refused calls had asked
    cost_pico = models.DecimalField(max_digits=30, decimal_places=0, default=0)
    input_tokens = models.BigIntegerField(default=0)  # every input bucket
    cache_read_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class HourlyUsage(UsageSums):
    """One hour of the book, by the hour in which calls were reserved."""

    hour = models.DateTimeField()

    class Meta:
        db_table = "hourly_usage"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization_id", "hour", "agent_id", "provider", "model"], name="hourly_usage_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:%M} {self.model}"


class DailyUsage(UsageSums):
    """One day of the book in the organisation's time zone."""

    day = models.DateField()
    time_zone = models.CharField(max_length=64, default="")  # whose day it is; another zone's days are written anew

    class Meta:
        db_table = "daily_usage"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["organization_id", "day", "agent_id", "provider", "model"], name="daily_usage_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.model}"
