"""Gauges of the whole installation, as the database has them."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper
from django.db.utils import OperationalError

from agents.models import OwnerLease
from shredder.gauges import Installation

pytestmark = pytest.mark.django_db(transaction=True)


def a_lease(*, seconds_left: float, degraded: bool) -> None:
    now = datetime.now(UTC)
    OwnerLease.objects.create(
        owner=uuid4(), renewed_at=now, expires_at=now + timedelta(seconds=seconds_left),
        degraded_since=now if degraded else None,
    )  # fmt: skip


def gauges() -> dict[str, float]:
    return {family.name: family.samples[0].value for family in Installation().collect()}


def test_processes_are_counted_while_their_leases_are_fresh() -> None:
    a_lease(seconds_left=20, degraded=False)
    a_lease(seconds_left=20, degraded=True)
    a_lease(seconds_left=-1, degraded=True)
    assert gauges() == {
        "shredder_database_up": 1, "shredder_processes": 2, "shredder_guards_degraded": 1, "shredder_calls_running": 0,
    }  # fmt: skip


def test_without_the_database_only_that_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> None:
        raise OperationalError("no")

    connections["default"].close()
    monkeypatch.setattr(DatabaseWrapper, "connect", refuse)
    assert gauges() == {"shredder_database_up": 0}
