"""Writes a book of any size by SQL, as the ledger leaves it: balances, endings of every kind, corrections, sums."""

from __future__ import annotations

from typing import Any

ORGANIZATION_COUNT = 10
AGENT_COUNT = 100  # in each
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC", "Asia/Tokyo")

# Each agent has a day in dollars, a month in tokens and a total in calls; its organisation has a day in dollars.
AGENTS = """
INSERT INTO agent (id, organization_id, slug, name, policy_version, default_output, refusal_status, blocked_rule,
                   created_at)
SELECT gen_random_uuid(), o.id, 'agent-' || n, 'Agent ' || n, 1, 16384, 429, '', now()
FROM organization o, generate_series(1, %s) AS n
"""
BUDGETS = """
INSERT INTO budget (organization_id, agent_id, scope, scope_name, unit, "window", mode, "limit", thresholds, created_at)
SELECT a.organization_id, a.id, 'agent', '', k.unit, k.span, 'hard', 9000000000000000000, '{50,80,100}', now()
FROM agent a, (VALUES ('usd', 'day'), ('tokens', 'month'), ('calls', 'total')) AS k(unit, span)
ON CONFLICT DO NOTHING -- an agent that was there before has some of them
"""
BALANCES = """
INSERT INTO balance (budget_id, subject, practice, window_start, window_end, spent, held, seeded, opened_at)
SELECT DISTINCT b.id, '', false, w.window_start, w.window_end, 0, 0, 0, w.window_start
FROM budget b JOIN organization o ON o.id = b.organization_id,
     generate_series(-1, %s) AS day,
     ledger_window(b."window", o.time_zone, date_trunc('hour', now()) - make_interval(days => day)) AS w
ON CONFLICT DO NOTHING
"""
# Which balances a call of an agent has, by its day: months and totals change at midnight or never.
SEATS = """
CREATE TEMP TABLE seat AS
SELECT a.number, a.organization_id, a.id AS agent_id, d.window_start, d.window_end,
       ARRAY(SELECT l.id FROM balance l JOIN budget b ON b.id = l.budget_id
             WHERE (b.agent_id = a.id OR (b.organization_id = a.organization_id AND b.agent_id IS NULL))
               AND l.window_start <= d.window_start AND (l.window_end IS NULL OR l.window_end > d.window_start)
             ORDER BY 1) AS balance_ids
FROM (SELECT *, row_number() OVER (ORDER BY organization_id, id) - 1 AS number FROM agent) a
JOIN budget day ON day.agent_id = a.id AND day."window" = 'day'
JOIN balance d ON d.budget_id = day.id;
CREATE INDEX ON seat (number, window_start)
"""
CALLS = """
INSERT INTO call (call_id, organization_id, agent_id, reserved_at, ended_at, cost_pico, held_pico, tokens, counted,
                  input_tokens, cache_read_tokens, output_tokens, system_bytes, first_byte_ms, duration_ms, http_status,
                  status, basis, failed, reason, streamed, provider, endpoint, model, session, user_subject,
                  price_version, provider_request_id, balance_ids, pricing, facts)
SELECT (lpad(to_hex(floor(extract(epoch FROM c.at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(c.n::text || c.at), 1, 3) || '8' || substr(md5(c.at || 'x' || c.n), 1, 15))::uuid,
       s.organization_id, s.agent_id, c.at, c.at + make_interval(secs => 1 + c.n %% 20),
       CASE c.kind WHEN 'settled' THEN c.cost WHEN 'expired' THEN c.cost * 3 ELSE 0 END,
       c.cost * 3, CASE WHEN c.kind IN ('settled', 'expired') THEN c.input + c.cached + c.output ELSE 0 END,
       (c.kind IN ('settled', 'expired'))::int, CASE c.kind WHEN 'settled' THEN c.input ELSE 0 END,
       CASE c.kind WHEN 'settled' THEN c.cached ELSE 0 END, CASE c.kind WHEN 'settled' THEN c.output ELSE 0 END,
       2048, 312, 1843, 200, c.kind, CASE c.kind WHEN 'settled' THEN 'usage' ELSE 'none' END, c.kind = 'expired',
       CASE c.kind WHEN 'refused' THEN 'budget_exceeded' WHEN 'expired' THEN 'expired' ELSE '' END, true,
       'openai', 'chat/completions', CASE c.n %% 3 WHEN 0 THEN 'gpt-4o-mini-2024-07-18' ELSE 'gpt-4o-mini' END,
       'run-' || c.n / 40, '', %(version)s, 'req_0123456789abcdef0123456789abcdef',
       CASE c.kind WHEN 'refused' THEN '{}' ELSE s.balance_ids END,
       CASE c.kind WHEN 'settled' THEN '{"row": "openai/gpt-4o-mini", "tier": "default"}'::jsonb END,
       CASE c.kind WHEN 'refused' THEN '{"asked": "0.01", "limit": "5", "spent": "5"}'::jsonb END
FROM (SELECT n, at, kind, input, cached, output, input * 150000 + cached * 75000 + output * 600000 AS cost
      FROM (SELECT n, %(since)s + n * (%(until)s::timestamptz - %(since)s) / %(count)s AS at,
                   CASE WHEN n %% 40 = 0 THEN 'voided' WHEN n %% 33 = 0 THEN 'refused' WHEN n %% 500 = 1 THEN 'expired'
                        ELSE 'settled' END AS kind,
                   500 + n * 7919 %% 4000 AS input, n * 31 %% 2000 AS cached, 50 + n * 104729 %% 900 AS output
            FROM generate_series(0::bigint, %(count)s - 1) AS n) AS numbers) AS c
-- In each hour one agent in eight is at work.
JOIN seat s ON s.number = c.n * 7 %% (%(agents)s / 8) + %(agents)s / 8 * (extract(hour FROM c.at)::int %% 8)
    AND c.at >= s.window_start AND c.at < s.window_end
"""
CORRECTIONS = """
INSERT INTO call SELECT (jsonb_populate_record(c, jsonb_build_object(
    'seq', 1, 'status', 'corrected', 'reason', 'late_settle', 'held_pico', 0, 'counted', 0,
    'cost_pico', -c.cost_pico / 2, 'tokens', 0, 'ended_at', c.ended_at + interval '2 minutes'))).*
FROM call c WHERE c.status = 'expired' AND c.call_id >= uuid7_floor(%(since)s) AND c.call_id < uuid7_floor(%(until)s)
  AND c.reserved_at < now() - interval '10 minutes' AND NOT EXISTS (
    SELECT 1 FROM call f WHERE f.call_id = c.call_id AND f.seq = 1)
"""
SPENT = """
UPDATE balance l SET spent = l.spent + CASE b.unit WHEN 'usd' THEN s.usd WHEN 'tokens' THEN s.tokens ELSE s.calls END
FROM budget b, (
    SELECT balance_id, sum(usd) AS usd, sum(tokens) AS tokens, sum(calls) AS calls
    FROM (SELECT balance_ids, sum(cost_pico) AS usd, sum(tokens) AS tokens, sum(counted) AS calls FROM call
          WHERE call_id >= uuid7_floor(%(since)s) AND call_id < uuid7_floor(%(until)s) GROUP BY 1) AS groups,
         unnest(balance_ids) AS balance_id GROUP BY 1) s
WHERE s.balance_id = l.id AND b.id = l.budget_id
"""


def found(day_count: int) -> None:
    """Create ten organisations with a hundred agents each, and the balances of their days."""
    from accounts.models import Organization
    from agents import budgets
    from agents.ledger import partitions

    for number in range(ORGANIZATION_COUNT):
        organization = Organization.objects.create(name=f"Bench {number}", time_zone=ZONES[number % len(ZONES)])
        budgets.ensure_organization_meter(organization)
    partitions.ensure(days_back=day_count + 3)
    _run(AGENTS, [AGENT_COUNT])
    _run(BUDGETS)
    _run(BALANCES, [day_count + 1])
    _run(SEATS)


def write(count: int, since: Any, until: Any) -> None:
    """Add calls, evenly spread from one moment to another, and what they add to balances.

    The same connection must have called `found`.
    """
    from agents.pricebook import current_book

    facts = {
        "count": count, "since": since, "until": until, "version": current_book().version,
        "agents": ORGANIZATION_COUNT * AGENT_COUNT,
    }  # fmt: skip
    for statement in (CALLS, CORRECTIONS, SPENT):
        _run(statement, facts)


def _run(statement: str, values: Any = None) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values)
