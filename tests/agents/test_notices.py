"""The line above every signed-in page while Valkey is away."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client

from agents.models import OwnerLease
from tests import cast

pytestmark = pytest.mark.django_db


def a_lease(*, seconds_left: float, degraded: bool = True) -> None:
    now = datetime.now(UTC)
    OwnerLease.objects.create(
        owner=uuid4(), renewed_at=now, expires_at=now + timedelta(seconds=seconds_left),
        degraded_since=now if degraded else None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("seconds_left", "degraded", "says"), [(20, True, True), (20, False, False), (-1, True, False)]
)
def test_a_signed_in_page_says_so_while_a_living_process_counts_alone(
    client: Client, seconds_left: float, degraded: bool, says: bool
) -> None:
    client.force_login(cast.alice().user)
    a_lease(seconds_left=seconds_left, degraded=degraded)
    for address in ("/agents/", "/settings/"):
        assert ("Valkey is away" in client.get(address).content.decode()) is says


def test_people_who_are_not_signed_in_are_told_nothing(client: Client) -> None:
    a_lease(seconds_left=20)
    for address in ("/", "/accounts/login/"):
        assert "Valkey is away" not in client.get(address).content.decode()
