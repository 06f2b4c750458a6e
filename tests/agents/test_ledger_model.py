"""F3 in small: PostgreSQL agrees with the plain model after every step; ./dev faults runs it at full size."""

import pytest

from tests.agents.ledger_house import House
from tests.agents.ledger_machine_runs import run_machine

pytestmark = pytest.mark.django_db(transaction=True)


def test_postgresql_agrees_with_the_model_after_every_step(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    run_machine(monkeypatch, examples=10, steps=50)
