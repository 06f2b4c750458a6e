"""A session with very many calls (B8 b)."""

from collections.abc import Iterator
from datetime import timedelta

from agents.models import GuardRule, RuleMode
from agents.watch.active import CALL_LENGTH_MAX, CLOCK_OFF_MAX, COUNTS, Active, ask, session_arrays
from agents.watch.episodes import Sighting

LOOK_BACK = timedelta(days=30)

# The call after the N-th, by the index on sessions: as many entries are read as the rule allows calls.
_SESSIONS = f"""
SELECT w.agent_id, w.session, w.calls, c.reserved_at
FROM unnest(%(organizations)s::uuid[], %(agents)s::uuid[], %(sessions)s::text[], %(calls)s::integer[])
    AS w(organization_id, agent_id, session, calls)
CROSS JOIN LATERAL (
    SELECT c.reserved_at FROM call c
    WHERE c.organization_id = w.organization_id AND c.session = w.session AND c.session <> ''
      AND c.call_id >= uuid7_floor(%(since)s) AND c.call_id <= uuid7_floor(%(at)s)
      AND c.agent_id = w.agent_id AND {COUNTS}
    ORDER BY c.call_id OFFSET w.calls LIMIT 1) AS c
"""  # noqa: S608 (only our own conditions)

# Other rules that block name themselves in a refusal's facts.
_STOPPED = """
SELECT c.agent_id, c.session, min(c.reserved_at), max(c.reserved_at) FROM call c
WHERE c.agent_id = ANY (%(agents)s) AND c.session <> '' AND c.status = 'refused' AND c.reason = 'loop_detected'
  AND c.call_id >= uuid7_floor(%(first_at)s) AND c.call_id <= uuid7_floor(%(at)s + %(clock_off)s)
  AND c.ended_at >= %(since)s AND c.ended_at <= %(at)s AND NOT c.practice
  AND coalesce(c.facts->>'rule', 'loop_session') = 'loop_session'
GROUP BY 1, 2
"""


def sightings(seen: Active) -> Iterator[Sighting]:
    """Sessions that called just now and have made more calls than the rule allows."""
    watched = seen.warned_by(lambda guards: guards.session_mode)
    agents = {one.agent.id: one.agent for one in watched}
    values = session_arrays(watched, lambda guards: guards.session_calls)
    for agent_id, session, calls, tripped_at in ask(_SESSIONS, values | {"since": seen.at - LOOK_BACK, "at": seen.at}):
        yield Sighting(
            agent=agents[agent_id], rule=GuardRule.SESSION, session=session, began_at=tripped_at, last_at=seen.at,
            facts={"calls": calls},
        )  # fmt: skip


def stopped(seen: Active) -> Iterator[Sighting]:
    """Sessions whose calls were refused because they had made as many as the rule, set to block, allows."""
    watched = {one.agent.id: one for one in seen.agents if one.guards.session_mode == RuleMode.BLOCK}
    values = {
        "agents": list(watched), "since": seen.since_at, "at": seen.at, "clock_off": CLOCK_OFF_MAX,
        "first_at": seen.since_at - CALL_LENGTH_MAX - CLOCK_OFF_MAX,
    }  # fmt: skip
    for agent_id, session, first_at, last_at in ask(_STOPPED, values) if watched else []:
        one = watched[agent_id]
        yield Sighting(
            agent=one.agent, rule=GuardRule.SESSION, session=session, began_at=first_at, last_at=last_at,
            mode=RuleMode.BLOCK, facts={"calls": one.guards.session_calls},
        )  # fmt: skip
