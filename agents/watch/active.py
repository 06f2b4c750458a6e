"""Who called since the last look, and what their guards say."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from agents.models import Agent, Guards, RuleMode

# The id of a call holds the time at which its proxy began it. Rules find calls by it, so what a clock that is further
# off dates is missed.
CLOCK_OFF_MAX = timedelta(minutes=5)
CALL_LENGTH_MAX = timedelta(minutes=40)  # longer than a call's total time-out
# A busy agent's calls beyond these are left out of rules that look at many.
CALLS_MAX = 20_000

# Rules lead with the indexes on ids, inside a look that ends after so many rows, and compare times outside: otherwise
# the plan reads the small index on times once for each agent.
# Calls that a rule looks at: refused ones never left, those that the cache answered are free.
COUNTS = "c.seq = 0 AND c.status NOT IN ('refused', 'cached') AND NOT c.practice"

_ACTIVE = f"""
SELECT c.agent_id, array_agg(DISTINCT c.session) FILTER (WHERE {COUNTS}) FROM call c
WHERE c.call_id >= uuid7_floor(%(first_at)s) AND c.call_id <= uuid7_floor(%(last_at)s)
  AND c.ended_at >= %(since)s AND c.ended_at <= %(at)s AND c.seq = 0 AND NOT c.practice
GROUP BY c.agent_id
"""  # noqa: S608 (only our own conditions)


@dataclass(frozen=True, slots=True)
class Watched:
    """An agent that called, its guards, and the sessions it called in: "" for calls without one, none at all where
    every call was refused."""

    agent: Agent
    guards: Guards
    sessions: frozenset[str]


@dataclass(frozen=True, slots=True)
class Active:
    """The agents whose calls ended, or were refused, between two moments."""

    since_at: datetime
    at: datetime
    agents: tuple[Watched, ...]

    def warned_by(self, mode: Callable[[Guards], str]) -> list[Watched]:
        """Those that got calls through and whose rule is set to warn. mode: reads the rule's mode."""
        return [one for one in self.agents if one.sessions and mode(one.guards) == RuleMode.WARN]


def active(since_at: datetime, at: datetime) -> Active:
    """Find the agents with calls that ended in between; their guards are the defaults where they have none."""
    values = {
        "since": since_at, "at": at, "first_at": since_at - CALL_LENGTH_MAX - CLOCK_OFF_MAX,
        "last_at": at + CLOCK_OFF_MAX,
    }  # fmt: skip
    sessions: dict[UUID, list[str] | None] = dict(ask(_ACTIVE, values))
    agents = Agent.objects.select_related("organization").in_bulk(sessions)
    guards = {one.agent_id: one for one in Guards.objects.filter(agent_id__in=agents)}
    return Active(since_at, at, tuple(_watched(agent, guards, sessions[agent.id]) for agent in agents.values()))


def session_arrays(watched: Iterable[Watched], calls: Callable[[Guards], int]) -> dict[str, list[Any]]:
    """The named sessions of these agents as arrays for a query. calls: reads the number that the rule allows."""
    named = [(one, session) for one in watched for session in sorted(one.sessions) if session]
    return {
        "organizations": [one.agent.organization_id for one, _ in named],
        "agents": [one.agent.id for one, _ in named],
        "sessions": [session for _, session in named],
        "calls": [calls(one.guards) for one, _ in named],
    }


def ask(query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Run a query on the book and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())


def _watched(agent: Agent, guards: dict[UUID, Guards], sessions: Iterable[str] | None) -> Watched:
    return Watched(agent, guards.get(agent.id) or Guards(agent=agent), frozenset(sessions or ()))
