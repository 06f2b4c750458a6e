"""Blocks an agent for the cool-down of the rule that tripped; the proxy refuses its calls as `loop_detected`."""

from django.db import transaction

from agents.budgets import touch_agent
from agents.models import Agent, GuardEvent
from agents.watch.episodes import Sighting


@transaction.atomic
def block(sighting: Sighting) -> bool:
    """Block an agent once for each episode, for its very next call; return whether it was blocked now.

    Whoever lets the agent go on meanwhile is not overruled.
    """
    event = sighting.event()
    same = GuardEvent.objects.filter(
        agent=event.agent, rule=event.rule, session=event.session, episode_at=event.episode_at
    )
    if same.exists():
        return False
    touch_agent(sighting.agent.id)
    if same.exists():
        return False
    event.save(force_insert=True)
    Agent.objects.filter(id=sighting.agent.id).update(blocked_until=sighting.until_at, blocked_rule=sighting.rule)
    return True
