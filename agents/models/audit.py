"""What the audit remembers of the book, so that each row is read once and not in every run."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class AuditedDay(models.Model):
    """A day of the book (of UTC, by the clock in the calls' ids) as far as the audit has found its rows sound."""

    day = models.DateField(primary_key=True)
    until_at = models.DateTimeField()  # rows that ended before are in the numbers
    row_count = models.BigIntegerField()
    fingerprint = models.DecimalField(max_digits=40, decimal_places=0)  # sum of a hash of each row
    priced_count = models.BigIntegerField()  # rows whose cost was priced again
    price_versions = ArrayField(models.CharField(max_length=12))
    overrun_count = models.BigIntegerField()
    overrun_pico = models.DecimalField(max_digits=30, decimal_places=0)

    class Meta:
        db_table = "audited_day"

    def __str__(self) -> str:
        return f"{self.day} until {self.until_at:%Y-%m-%d %H:%M}"


class AuditedBalance(models.Model):
    """What the remembered rows of a day charge to one balance. The balance itself may be gone."""

    pk = models.CompositePrimaryKey("balance_id", "day")
    balance_id = models.BigIntegerField()
    day = models.DateField()
    organization_id = models.UUIDField()
    practice = models.BooleanField()
    usd_pico = models.DecimalField(max_digits=30, decimal_places=0)
    tokens = models.DecimalField(max_digits=30, decimal_places=0)
    calls = models.BigIntegerField()
    overrun_pico = models.DecimalField(max_digits=30, decimal_places=0)  # charged, but never admitted
    overrun_calls = models.BigIntegerField()
    first_reserved_at = models.DateTimeField()
    last_reserved_at = models.DateTimeField()

    class Meta:
        db_table = "audited_balance"

    def __str__(self) -> str:
        return f"balance {self.balance_id} on {self.day}"


class AuditedHour(models.Model):
    """The checksum of an hour's usage (by the hour of reserving) that the remembered rows of a day add up to."""

    pk = models.CompositePrimaryKey("hour", "day")
    hour = models.DateTimeField()
    day = models.DateField()
    checksum = models.DecimalField(max_digits=80, decimal_places=0)
    last_ended_at = models.DateTimeField()

    class Meta:
        db_table = "audited_hour"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H:00} from {self.day}"
