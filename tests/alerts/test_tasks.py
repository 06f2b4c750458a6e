"""The alerts' tasks, and that a delivery is only started once its row is committed."""

import pytest
from django.db import connection

from agents.models import database_now
from alerts import tasks
from alerts.models import Delivery, DeliveryState
from tests import cast
from tests.alerts.books import day_budget, spend
from tests.alerts.conftest import PostOffice


@pytest.mark.django_db(transaction=True)
def test_raising_starts_the_delivery_of_committed_rows(
    post_office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, bool]] = []
    monkeypatch.setattr(tasks.deliver, "delay", lambda row: started.append((row, connection.in_atomic_block)))
    spend(day_budget(cast.alice()), 300, database_now())
    for _ in range(2):
        tasks.raise_alerts.apply(throw=True)
    assert started == [(str(Delivery.objects.get().id), False)]
    for _ in range(2):
        tasks.deliver.apply(args=[started[0][0]], throw=True)
    assert len(post_office.mails) == 1


@pytest.mark.django_db(transaction=True)
def test_what_nobody_was_told_to_deliver_is_found(post_office: PostOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.deliver, "delay", lambda row: None)
    spend(day_budget(cast.alice()), 300, database_now())
    tasks.raise_alerts.apply(throw=True)
    tasks.deliver_waiting.apply(throw=True)
    assert Delivery.objects.get().state == DeliveryState.SENT
