"""An agent is new until its first call."""

from datetime import timedelta

import pytest
from django.utils import timezone

from agents import rollups
from agents.models import Agent
from agents.reports.standing import State, standing
from tests import cast
from tests.agents.pages_house import book_call, refuse_call

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("practice", [False, True])
def test_the_first_call_with_either_key_ends_being_new(practice: bool) -> None:
    alice, charlie, now = cast.alice(), cast.charlie(), timezone.now()
    first = book_call(alice, now - timedelta(minutes=2), cost_pico=0, practice=practice)
    book_call(alice, now - timedelta(minutes=1), cost_pico=0)
    rollups.roll_up(now)
    agent = Agent.objects.get(id=alice.agent.id)
    assert agent.first_call_at == first.reserved_at
    assert standing(alice.organization, agent, now).state is State.OK
    assert Agent.objects.get(id=charlie.agent.id).first_call_at is None


def test_a_refusal_is_no_first_call() -> None:
    alice, now = cast.alice(), timezone.now()
    refuse_call(alice, now - timedelta(minutes=1))
    rollups.roll_up(now)
    assert Agent.objects.get(id=alice.agent.id).first_call_at is None
