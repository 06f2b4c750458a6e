"""What rows of the book add up to: by day, by balance and by hour. Further rows add to it; nothing else changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from django.db.backends.utils import CursorWrapper

    from agents.audit.book import BookDay

# Everything that a charge rests on. Hashes of rows are summed, so that their order does not matter.
_FINGERPRINT = """hash_record_extended(ROW(
    call_id, seq, organization_id, agent_id, key_id, reserved_at, ended_at, cost_pico, held_pico, tokens, counted,
    repeat_count, status, basis, practice, failed, provider, endpoint, model, served_model, session, user_subject,
    sub_agent, reason, price_version, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_long_tokens,
    output_tokens, reasoning_tokens, balance_ids, pricing, facts), 0)"""
# Usage from outside is booked at its cost without a ceiling.
OVERRUN = "seq = 0 AND status = 'settled' AND endpoint <> 'usage' AND cost_pico > held_pico"
# A late settle carries the difference to what the expiry charged; its usage prices the whole.
PRICED = "pricing ? 'row' AND (status = 'settled' OR reason = 'late_settle')"

DAY = f"""
SELECT count(*) AS row_count, coalesce(sum({_FINGERPRINT}), 0) AS fingerprint,
       count(*) FILTER (WHERE {PRICED}) AS priced_count,
       coalesce(array_agg(DISTINCT price_version) FILTER (
           WHERE {PRICED} AND pricing->>'row' NOT LIKE 'custom/%%'), '{{}}') AS price_versions,
       count(*) FILTER (WHERE {OVERRUN}) AS overrun_count,
       coalesce(sum(cost_pico - held_pico) FILTER (WHERE {OVERRUN}), 0) AS overrun_pico
FROM ({{rows}}) c
"""  # noqa: S608 (only our own column names, here and below)

# Calls of one agent share their balances, so rows are grouped before they are spread over balances.
# What was charged and never admitted (overruns, raising corrections, usage from outside) is kept apart.
BALANCES = """
SELECT balance_id, (array_agg(organization_id))[1] AS organization_id, bool_or(practice) AS practice,
       sum(usd) AS usd_pico, sum(tokens) AS tokens, sum(calls) AS calls, sum(over_usd) AS overrun_pico,
       sum(over_calls) AS overrun_calls, min(first_at) AS first_reserved_at, max(last_at) AS last_reserved_at
FROM (SELECT organization_id, practice, balance_ids, sum(cost_pico) AS usd, sum(tokens) AS tokens,
             sum(counted) AS calls, min(reserved_at) AS first_at, max(reserved_at) AS last_at,
             sum(greatest(cost_pico - CASE WHEN endpoint = 'usage' THEN 0 ELSE held_pico END, 0)) AS over_usd,
             sum(CASE WHEN seq > 0 OR endpoint = 'usage' THEN greatest(counted, 0) ELSE 0 END) AS over_calls
      FROM ({rows}) c WHERE cardinality(balance_ids) > 0 GROUP BY 1, 2, 3) kinds,
     unnest(balance_ids) AS balance_id
GROUP BY balance_id
"""

# The sums of agents.rollups, each with a weight of its own, times a hash of whom they belong to: an error in one
# of them, or a swap between two groups, changes it, and the checksums of hours add up to those of days.
CHECKSUM = """sum(
    hash_record_extended(ROW(organization_id, agent_id, provider::text, model::text), 0) * (
        cost_pico + 1000039 * refused_pico + (1000003 * call_count + 1000033 * failed_count + 1000037 * refused_count
        + 10007 * input_tokens + 10009 * cache_read_tokens + 10037 * output_tokens)))"""
# As agents.rollups sums them, said once more: an audit that asks the same code again proves nothing.
USAGE = """
SELECT organization_id, agent_id, provider, model, date_trunc('hour', reserved_at, 'UTC') AS hour,
       sum(cost_pico) AS cost_pico, count(*) FILTER (WHERE seq = 0 AND status <> 'refused') AS call_count,
       count(*) FILTER (WHERE seq = 0 AND status <> 'refused' AND failed) AS failed_count,
       coalesce(sum(repeat_count) FILTER (WHERE status = 'refused'), 0) AS refused_count,
       coalesce(sum(held_pico) FILTER (WHERE status = 'refused'), 0) AS refused_pico,
       sum(input_tokens + cache_read_tokens + cache_write_tokens + cache_write_long_tokens)::bigint AS input_tokens,
       sum(cache_read_tokens)::bigint AS cache_read_tokens, sum(output_tokens)::bigint AS output_tokens,
       max(ended_at) AS last_ended_at
FROM ({rows}) c WHERE NOT practice GROUP BY 1, 2, 3, 4, 5
"""
HOURS = f"SELECT hour, {CHECKSUM} AS checksum, max(last_ended_at) AS last_ended_at FROM ({USAGE}) u GROUP BY hour"  # noqa: S608

_ADD_DAY = f"""
INSERT INTO audited_day AS d (day, until_at, row_count, fingerprint, priced_count, price_versions, overrun_count,
                              overrun_pico)
SELECT %(day)s, %(until)s, s.* FROM ({DAY}) s
ON CONFLICT (day) DO UPDATE SET
    until_at = excluded.until_at, row_count = d.row_count + excluded.row_count,
    fingerprint = d.fingerprint + excluded.fingerprint, priced_count = d.priced_count + excluded.priced_count,
    price_versions = ARRAY(SELECT DISTINCT v FROM unnest(d.price_versions || excluded.price_versions) AS v),
    overrun_count = d.overrun_count + excluded.overrun_count, overrun_pico = d.overrun_pico + excluded.overrun_pico
"""  # noqa: S608
_ADD_BALANCES = f"""
INSERT INTO audited_balance AS b (balance_id, day, organization_id, practice, usd_pico, tokens, calls,
                                  overrun_pico, overrun_calls, first_reserved_at, last_reserved_at)
SELECT balance_id, %(day)s, organization_id, practice, usd_pico, tokens, calls, overrun_pico, overrun_calls,
       first_reserved_at, last_reserved_at
FROM ({BALANCES}) s
ON CONFLICT (balance_id, day) DO UPDATE SET
    usd_pico = b.usd_pico + excluded.usd_pico, tokens = b.tokens + excluded.tokens,
    calls = b.calls + excluded.calls, overrun_pico = b.overrun_pico + excluded.overrun_pico,
    overrun_calls = b.overrun_calls + excluded.overrun_calls, practice = b.practice OR excluded.practice,
    first_reserved_at = least(b.first_reserved_at, excluded.first_reserved_at),
    last_reserved_at = greatest(b.last_reserved_at, excluded.last_reserved_at)
"""  # noqa: S608
_ADD_HOURS = f"""
INSERT INTO audited_hour AS h (hour, day, checksum, last_ended_at)
SELECT hour, %(day)s, checksum, last_ended_at FROM ({HOURS}) s
ON CONFLICT (hour, day) DO UPDATE SET
    checksum = h.checksum + excluded.checksum, last_ended_at = greatest(h.last_ended_at, excluded.last_ended_at)
"""  # noqa: S608
_FORGET = ("audited_balance", "audited_hour", "audited_day")


def add(cursor: CursorWrapper, day: BookDay, rows: str, until: datetime) -> None:
    """Remember what rows add up to, on top of what is remembered of their day.

    until: from now on the day's rows that ended before count as read.
    """
    for statement in (_ADD_DAY, _ADD_BALANCES, _ADD_HOURS):
        cursor.execute(statement.replace("{rows}", rows), {"day": day.day, "until": until})


def forget(cursor: CursorWrapper, day: BookDay) -> None:
    """Drop what is remembered of a day; the next run reads it whole."""
    for table in _FORGET:
        cursor.execute(f"DELETE FROM {table} WHERE day = %s", [day.day])  # noqa: S608
