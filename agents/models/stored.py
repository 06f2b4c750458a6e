from __future__ import annotations

from typing import ClassVar

from django.db import models


class StoredResponse(models.Model):
    """An answer that its provider keeps under an id, for the agent that made it alone; no text of it is here.

    No foreign keys, as with reservations. Written by agents.ledger.stored, purged when it expires.
    """

    organization_id = models.UUIDField()
    agent_id = models.UUIDField()
    practice = models.BooleanField(default=False)
    response_id = models.CharField(max_length=128)
    provider = models.CharField(max_length=40)
    model = models.CharField(max_length=128)  # as the provider was asked for it
    # What the model read and wrote, the answers before included; empty where it is not known exactly.
    input_tokens = models.BigIntegerField(null=True)
    output_tokens = models.BigIntegerField(null=True)
    created_at = models.DateTimeField()  # the database's clock
    expires_at = models.DateTimeField()

    objects: ClassVar[models.Manager[StoredResponse]] = models.Manager()

    class Meta:
        db_table = "stored_response"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agent_id", "practice", "response_id"], name="stored_response_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="stored_response_by_expiry")]

    def __str__(self) -> str:
        return self.response_id
