"""The same model and last message again and again (B8 a)."""

from collections.abc import Iterator
from datetime import timedelta

from agents.models import GuardRule
from agents.watch.active import CALLS_MAX, CLOCK_OFF_MAX, COUNTS, Active, ask
from agents.watch.episodes import Sighting

# A call shows a repetition where the one N-1 like calls earlier lies within M minutes. Fingerprint 0: no last message.
_REPEATS = f"""
WITH recent AS (
    SELECT w.agent_id, w.times, w.span, c.model, c.last_message_fingerprint AS message, c.reserved_at
    FROM unnest(%(agents)s::uuid[], %(times)s::integer[], %(spans)s::interval[]) AS w(agent_id, times, span)
    CROSS JOIN LATERAL (
        SELECT c.model, c.last_message_fingerprint, c.reserved_at, c.ended_at FROM call c
        WHERE c.agent_id = w.agent_id AND c.call_id >= uuid7_floor(%(since)s - w.span - %(clock_off)s)
          AND c.call_id <= uuid7_floor(%(at)s + %(clock_off)s) AND {COUNTS}
        ORDER BY c.call_id DESC LIMIT {CALLS_MAX}) AS c
    WHERE c.last_message_fingerprint <> 0 AND c.reserved_at >= %(since)s - w.span AND c.ended_at <= %(at)s),
often AS (SELECT agent_id, model, message FROM recent GROUP BY 1, 2, 3 HAVING count(*) >= min(times)),
counted AS (
    SELECT recent.*, lag(reserved_at, times - 1) OVER (
        PARTITION BY agent_id, model, message ORDER BY reserved_at) AS first_at
    FROM recent JOIN often USING (agent_id, model, message))
SELECT agent_id, model, max(reserved_at), min(first_at), min(times), min(span)
FROM counted WHERE reserved_at >= %(since)s AND reserved_at - first_at <= span
GROUP BY agent_id, model, message
ORDER BY count(*)
"""  # noqa: S608 (only our own conditions)


def sightings(seen: Active) -> Iterator[Sighting]:
    """Agents that sent one message so many times within so many minutes; of several messages the most frequent."""
    watched = {one.agent.id: one for one in seen.warned_by(lambda guards: guards.repeat_mode)}
    values = {
        "agents": list(watched), "times": [one.guards.repeat_count for one in watched.values()],
        "spans": [timedelta(minutes=one.guards.repeat_minutes) for one in watched.values()],
        "since": seen.since_at, "at": seen.at, "clock_off": CLOCK_OFF_MAX,
    }  # fmt: skip
    found = {row[0]: row for row in ask(_REPEATS, values)}
    for agent_id, model, last_at, first_at, times, span in found.values():
        yield Sighting(
            agent=watched[agent_id].agent, rule=GuardRule.REPEAT, began_at=first_at, last_at=last_at,
            facts={"model": model, "count": times, "minutes": int(span.total_seconds()) // 60},
        )  # fmt: skip
