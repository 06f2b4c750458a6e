"""An agent that has not paused for hours (B8 b)."""

from collections.abc import Iterator
from datetime import timedelta

from agents.models import GuardRule
from agents.watch.active import CALL_LENGTH_MAX, CLOCK_OFF_MAX, COUNTS, Active, ask
from agents.watch.episodes import Sighting

PAUSE = timedelta(minutes=5)
STEPS_MAX = 10_000  # a week at two steps for each pause that might be

# Walks back from the newest call by leaps of up to one pause: to the oldest call that began within a pause before, else
# to one that began still earlier and ended within it. Each leap is one look into the agents' index, however many calls
# it skips; two leaps are longer than a pause. An agent that pauses is done with after a few.
_BUSY = f"""
WITH RECURSIVE walk AS (
    SELECT w.agent_id, w.span, newest.reserved_at AS newest_at, newest.call_id, newest.reserved_at, 0 AS step
    FROM unnest(%(agents)s::uuid[], %(spans)s::interval[]) AS w(agent_id, span)
    CROSS JOIN LATERAL (
        SELECT c.call_id, c.reserved_at FROM call c
        WHERE c.agent_id = w.agent_id AND c.call_id >= uuid7_floor(%(first_at)s)
          AND c.call_id <= uuid7_floor(%(at)s) AND {COUNTS}
        ORDER BY c.call_id DESC LIMIT 1) AS newest
    UNION ALL
    SELECT walk.agent_id, walk.span, walk.newest_at, coalesce(near.call_id, far.call_id),
           coalesce(near.reserved_at, far.reserved_at), walk.step + 1
    FROM walk
    LEFT JOIN LATERAL (
        SELECT c.call_id, c.reserved_at FROM call c
        WHERE c.agent_id = walk.agent_id AND c.call_id < walk.call_id
          AND c.call_id >= uuid7_floor(walk.reserved_at - %(pause)s) AND {COUNTS}
        ORDER BY c.call_id LIMIT 1) AS near ON true
    LEFT JOIN LATERAL (
        SELECT c.call_id, c.reserved_at FROM call c
        WHERE near.call_id IS NULL AND c.agent_id = walk.agent_id AND c.call_id < walk.call_id
          AND c.call_id >= uuid7_floor(walk.reserved_at - %(pause)s - %(longest)s)
          AND c.ended_at >= walk.reserved_at - %(pause)s AND {COUNTS}
        ORDER BY c.call_id LIMIT 1) AS far ON true
    WHERE walk.reserved_at > walk.newest_at - walk.span AND walk.step < {STEPS_MAX}
      AND coalesce(near.call_id, far.call_id) IS NOT NULL)
SELECT agent_id, min(reserved_at), min(newest_at) FROM walk
GROUP BY agent_id, span HAVING min(reserved_at) <= min(newest_at) - span
"""  # noqa: S608 (only our own conditions)


def sightings(seen: Active) -> Iterator[Sighting]:
    """Agents that have worked for so many hours without a pause of five minutes."""
    watched = {one.agent.id: one for one in seen.warned_by(lambda guards: guards.busy_mode)}
    values = {
        "agents": list(watched), "spans": [timedelta(hours=one.guards.busy_hours) for one in watched.values()],
        "first_at": seen.since_at - CALL_LENGTH_MAX - CLOCK_OFF_MAX, "at": seen.at, "pause": PAUSE,
        "longest": CALL_LENGTH_MAX,
    }  # fmt: skip
    for agent_id, began_at, newest_at in ask(_BUSY, values):
        one = watched[agent_id]
        yield Sighting(
            agent=one.agent, rule=GuardRule.BUSY, began_at=began_at, last_at=newest_at,
            facts={"hours": one.guards.busy_hours},
        )  # fmt: skip
