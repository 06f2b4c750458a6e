from __future__ import annotations

from datetime import datetime
from typing import ClassVar, cast

from django.db import connection, models


class Mark(models.Model):
    """How far a repeated job has read the book: calls that ended before are dealt with."""

    name = models.CharField(max_length=40, primary_key=True)
    until_at = models.DateTimeField()  # the database's clock

    objects: ClassVar[models.Manager[Mark]] = models.Manager()

    class Meta:
        db_table = "mark"

    def __str__(self) -> str:
        return f"{self.name} until {self.until_at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def of(cls, name: str) -> datetime | None:
        """Return how far the job has come, or None before its first run."""
        return cls.objects.filter(name=name).values_list("until_at", flat=True).first()

    @classmethod
    def move(cls, name: str, until_at: datetime) -> None:
        """Note how far the job has come."""
        cls.objects.update_or_create(name=name, defaults={"until_at": until_at})

    @classmethod
    def take(cls, name: str) -> bool:
        """Let one transaction at a time do the job; False when another is at it. Ends with the transaction."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [f"mark:{name}"])
            return cast("bool", cursor.fetchone()[0])


def database_now() -> datetime:
    """The database's clock: the one that dates calls, whatever the clock of this machine says."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cast("datetime", cursor.fetchone()[0])
