"""Retry storms: calls that follow failed ones, whatever their bodies (B9)."""

from collections.abc import Iterator
from datetime import timedelta

from agents.models import GuardRule
from agents.watch.active import CALLS_MAX, CLOCK_OFF_MAX, COUNTS, Active, ask
from agents.watch.episodes import Sighting

LOOK_BACK = timedelta(hours=1)
RETRY_WITHIN = timedelta(seconds=60)
CALLS_MIN = 20  # a share of fewer says little
FAILURES_MIN = 5  # one failure amid quick work makes many calls that follow it, and no storm
# The client broke it off or we cut it: that is no failure of the agent's.
_NOT_FAILURES = ["stopped", "drain_ended", "interrupted"]

# Ends of failed calls and beginnings of calls on one line of time, for each agent and session: a call is a retry where
# the last failure lies within a minute before. At the same moment beginnings come first, so no call follows itself, and
# calls that ran side by side do not follow each other.
_RETRIES = f"""
WITH recent AS (
    SELECT w.agent_id, c.*
    FROM unnest(%(agents)s::uuid[]) AS w(agent_id)
    CROSS JOIN LATERAL (
        SELECT c.session, c.reserved_at, c.ended_at, c.cost_pico,
               c.failed AND c.reason <> ALL (%(not_failures)s) AS failed
        FROM call c
        WHERE c.agent_id = w.agent_id AND c.call_id >= uuid7_floor(%(at)s - %(look_back)s - %(clock_off)s)
          AND c.call_id <= uuid7_floor(%(at)s + %(clock_off)s) AND {COUNTS}
        ORDER BY c.call_id DESC LIMIT {CALLS_MAX}) AS c
    WHERE c.reserved_at >= %(at)s - %(look_back)s AND c.ended_at <= %(at)s),
troubled AS (SELECT * FROM recent WHERE agent_id IN (SELECT agent_id FROM recent WHERE failed)),
line AS (
    SELECT agent_id, session, ended_at AS moment, true AS is_failure, 0 AS cost_pico FROM troubled WHERE failed
    UNION ALL
    SELECT agent_id, session, reserved_at, false, cost_pico FROM troubled),
followed AS (
    SELECT line.*, max(moment) FILTER (WHERE is_failure) OVER (
        PARTITION BY agent_id, session ORDER BY moment, is_failure ROWS UNBOUNDED PRECEDING) AS failed_at
    FROM line),
judged AS (
    SELECT *, NOT is_failure AND coalesce(moment - failed_at <= %(within)s, false) AS is_retry FROM followed)
SELECT agent_id, count(*) FILTER (WHERE NOT is_failure), count(*) FILTER (WHERE is_failure),
       count(*) FILTER (WHERE is_retry), min(moment) FILTER (WHERE is_retry), max(moment) FILTER (WHERE is_retry),
       coalesce(sum(cost_pico) FILTER (WHERE is_retry), 0)::bigint
FROM judged GROUP BY agent_id
"""  # noqa: S608 (only our own conditions)


def sightings(seen: Active) -> Iterator[Sighting]:
    """Agents of whose calls within the last hour too large a share were retries, where one of them is new."""
    watched = {one.agent.id: one for one in seen.warned_by(lambda guards: guards.retry_mode)}
    values = {
        "agents": list(watched), "at": seen.at, "look_back": LOOK_BACK, "clock_off": CLOCK_OFF_MAX,
        "within": RETRY_WITHIN, "not_failures": _NOT_FAILURES,
    }  # fmt: skip
    for agent_id, calls, failures, retries, began_at, last_at, cost_pico in ask(_RETRIES, values):
        one = watched[agent_id]
        if is_storm(retries, calls, failures, one.guards.retry_percent) and last_at >= seen.since_at:
            yield Sighting(
                agent=one.agent, rule=GuardRule.RETRIES, began_at=began_at, last_at=last_at,
                facts={"retries": retries, "calls": calls, "percent": retries * 100 // calls, "cost_pico": cost_pico},
            )  # fmt: skip


def is_storm(retries: int, calls: int, failures: int, percent: int) -> bool:
    """Whether more than so many percent of the calls are retries, where enough was called and failed to say so."""
    return calls >= CALLS_MIN and failures >= FAILURES_MIN and retries * 100 > calls * percent
