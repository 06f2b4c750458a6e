"""Sessions whose input keeps doubling: every further call pays for all of it (B9)."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import accumulate

from agents.models import GuardRule
from agents.watch.active import CLOCK_OFF_MAX, COUNTS, Active, ask, session_arrays
from agents.watch.episodes import Sighting

LOOK_BACK = timedelta(days=1)
FLOOR_TOKENS = 4_000  # smaller contexts may double: they cost little

# A session's last calls, oldest first, by the index on sessions; calls without usage say nothing.
_INPUTS = f"""
SELECT w.agent_id, w.session, w.calls, array_agg(c.tokens ORDER BY c.call_id),
       array_agg(c.reserved_at ORDER BY c.call_id)
FROM unnest(%(organizations)s::uuid[], %(agents)s::uuid[], %(sessions)s::text[], %(calls)s::integer[])
    AS w(organization_id, agent_id, session, calls)
CROSS JOIN LATERAL (
    SELECT c.call_id, c.reserved_at, c.ended_at,
           c.input_tokens + c.cache_read_tokens + c.cache_write_tokens + c.cache_write_long_tokens AS tokens
    FROM call c
    WHERE c.organization_id = w.organization_id AND c.session = w.session AND c.session <> ''
      AND c.call_id >= uuid7_floor(%(since)s) AND c.call_id <= uuid7_floor(%(at)s + %(clock_off)s)
      AND c.agent_id = w.agent_id AND {COUNTS}
      AND c.input_tokens + c.cache_read_tokens + c.cache_write_tokens + c.cache_write_long_tokens > 0
    ORDER BY c.call_id DESC LIMIT 2 * w.calls + 1) AS c
WHERE c.ended_at <= %(at)s
GROUP BY 1, 2, 3
"""  # noqa: S608 (only our own conditions)


def sightings(seen: Active) -> Iterator[Sighting]:
    """Sessions that called just now and whose input has doubled twice in a row."""
    watched = seen.warned_by(lambda guards: guards.bloat_mode)
    agents = {one.agent.id: one.agent for one in watched}
    values = session_arrays(watched, lambda guards: guards.bloat_calls)
    times = {"since": seen.at - LOOK_BACK, "at": seen.at, "clock_off": CLOCK_OFF_MAX}
    for agent_id, session, calls_max, inputs, moments in ask(_INPUTS, values | times):
        # The context is the largest input so far: small calls in between change nothing.
        contexts = list(accumulate(inputs, max))
        first = doubled_since(contexts, calls_max)
        if first is not None:
            yield Sighting(
                agent=agents[agent_id], rule=GuardRule.BLOAT, session=session, began_at=moments[first],
                last_at=moments[-1],
                facts={"from_tokens": contexts[first], "to_tokens": contexts[-1], "calls": len(contexts) - 1 - first},
            )  # fmt: skip


def doubled_since(contexts: Sequence[int], calls_max: int) -> int | None:
    """The place from which the context has doubled twice in a row, each time within so many calls; None where not.

    contexts: by call, oldest first; they never shrink.
    """
    last = len(contexts) - 1
    for middle in range(max(0, last - calls_max), last):
        first = bisect_left(contexts, FLOOR_TOKENS, lo=max(0, middle - calls_max), hi=middle)
        if contexts[first] * 2 <= contexts[middle] and contexts[middle] * 2 <= contexts[last]:
            return first
    return None
