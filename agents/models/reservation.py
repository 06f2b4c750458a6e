from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Reservation(models.Model):
    """A hold on balances for one running call; small and hot, written only by the ledger's functions.

    No foreign keys: each would lock a row more per call, and the functions hold the balances anyway.
    """

    call_id = models.UUIDField(primary_key=True)
    organization_id = models.UUIDField()
    agent_id = models.UUIDField()
    owner = models.UUIDField()  # the process that will settle it: OwnerLease.owner
    reserved_at = models.DateTimeField()  # the database's clock; decides the window
    deadline_at = models.DateTimeField()
    usd_pico = models.BigIntegerField()
    tokens = models.BigIntegerField()
    practice = models.BooleanField(default=False)
    balance_ids = ArrayField(models.BigIntegerField())
    # What the book needs of the call's beginning, in the names of Call's columns, in case only the reaper ends it.
    start = models.JSONField(default=dict)

    class Meta:
        db_table = "reservation"
        indexes: ClassVar = [
            models.Index(fields=["organization_id", "agent_id"], name="reservation_by_agent"),
        ]

    def __str__(self) -> str:
        return str(self.call_id)


class OwnerLease(models.Model):
    """A process says here that it is alive; the reaper expires holds of owners that stopped saying so."""

    owner = models.UUIDField(primary_key=True)
    renewed_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    process = models.CharField(max_length=100, blank=True)  # host and process id, for people
    degraded_since = models.DateTimeField(null=True)  # its guards count alone, because Valkey is away

    class Meta:
        db_table = "owner_lease"

    def __str__(self) -> str:
        return self.process or str(self.owner)
