from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models


class CallStatus(models.TextChoices):
    SETTLED = "settled", "Settled"
    VOIDED = "voided", "Not charged"
    EXPIRED = "expired", "Expired"
    REFUSED = "refused", "Refused"
    CORRECTED = "corrected", "Correction"
    CACHED = "cached", "Answered from the cache"


class Basis(models.TextChoices):
    USAGE = "usage", "Provider's usage"
    ESTIMATED = "estimated", "Estimated"
    WORST_CASE = "worst_case", "Worst case"
    NONE = "none", "Nothing charged"


class Call(models.Model):
    """The book: one row per finished call or refusal, and further rows that correct it. Append-only.

    Partitioned by day on call_id, a UUIDv7; the table itself is made in SQL. Corrections carry the difference.
    Columns are ordered by width so that a row stays small (at most 600 bytes).
    """

    pk = models.CompositePrimaryKey("call_id", "seq")
    call_id = models.UUIDField()
    seq = models.SmallIntegerField(default=0)  # 0 ends the call; 1 and on are corrections
    organization_id = models.UUIDField()
    agent_id = models.UUIDField()
    key_id = models.BigIntegerField(null=True)
    reserved_at = models.DateTimeField()  # the database's clock; the window the call belongs to
    ended_at = models.DateTimeField()
    cost_pico = models.BigIntegerField(default=0)
    held_pico = models.BigIntegerField(default=0)  # the ceiling that was held, or asked by a refused call
    tokens = models.BigIntegerField(default=0)  # what token budgets were charged
    body_fingerprint = models.BigIntegerField(default=0)
    last_message_fingerprint = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)  # uncached text; the buckets are disjoint
    cache_read_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    cache_write_long_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)  # part of output_tokens
    system_bytes = models.IntegerField(default=0)
    first_byte_ms = models.IntegerField(null=True)
    duration_ms = models.IntegerField(null=True)
    repeat_count = models.IntegerField(default=1)  # a flood of like refusals is one row
    counted = models.SmallIntegerField(default=0)  # what call budgets were charged: 1, 0, or -1 in a correction
    tool_call_count = models.SmallIntegerField(default=0)
    http_status = models.SmallIntegerField(null=True)
    status = models.CharField(max_length=10, choices=CallStatus)
    basis = models.CharField(max_length=10, choices=Basis, default=Basis.NONE)
    practice = models.BooleanField(default=False)
    streamed = models.BooleanField(default=False)
    failed = models.BooleanField(default=False)
    provider = models.CharField(max_length=40, default="", blank=True)
    endpoint = models.CharField(max_length=40, default="", blank=True)
    model = models.CharField(max_length=128, default="", blank=True)  # as asked
    served_model = models.CharField(max_length=128, default="", blank=True)  # as answered, where it differs
    session = models.CharField(max_length=128, default="", blank=True)
    user_subject = models.CharField(max_length=128, default="", blank=True)
    sub_agent = models.CharField(max_length=64, default="", blank=True)
    reason = models.CharField(max_length=40, default="", blank=True)  # of a refusal or failure
    price_version = models.CharField(max_length=12, default="", blank=True)
    provider_request_id = models.CharField(max_length=128, default="", blank=True)
    balance_ids = ArrayField(models.BigIntegerField(), default=list)
    pricing = models.JSONField(null=True)  # tier, speed, geo, other token buckets, tool calls: what re-pricing needs
    facts = models.JSONField(null=True)  # a refusal's numbers, a correction's author and reason, raw odd usage
    tags = models.JSONField(null=True)

    class Meta:
        db_table = "call"

    def __str__(self) -> str:
        return f"{self.call_id}/{self.seq}"


class PriceBookVersion(models.Model):
    """A price book that priced calls, kept so that they can be priced again."""

    version = models.CharField(max_length=12, primary_key=True)
    content = models.TextField()
    first_used_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "price_book_version"
        indexes: ClassVar = []

    def __str__(self) -> str:
        return self.version
