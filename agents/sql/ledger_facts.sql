-- What decides, read in a statement of its own after the lock (rule 4): for each asked balance its unit, its limit,
-- and what it has spent and holds once this flush's endings count. fits: all asks together stay within every limit.
CREATE FUNCTION ledger_facts(
    p_at timestamptz, p_balances bigint[], p_deltas ledger_delta[], p_groups integer[], p_usd bigint[],
    p_tokens bigint[], p_group_places integer[], p_group_starts integer[],
    OUT units text[], OUT limits bigint[], OUT spent bigint[], OUT held bigint[], OUT over boolean[], OUT fits boolean)
    LANGUAGE sql VOLATILE AS $$
    WITH moved AS (
        SELECT balance_id AS id, sum(held_usd) AS held_usd, sum(held_tokens) AS held_tokens,
               sum(held_calls) AS held_calls, sum(spent_usd) AS spent_usd, sum(spent_tokens) AS spent_tokens,
               sum(spent_calls) AS spent_calls
        FROM unnest(p_deltas) AS d WHERE balance_id = ANY (p_balances) GROUP BY balance_id
    ), asked AS (
        SELECT p_balances[place] AS id, sum(usd) AS usd, sum(tokens) AS tokens, sum(calls) AS calls
        FROM (SELECT grp, sum(usd) AS usd, sum(tokens) AS tokens, count(*) AS calls
              FROM unnest(p_groups, p_usd, p_tokens) AS a(grp, usd, tokens) GROUP BY grp) g,
             unnest(p_group_places[p_group_starts[grp]:p_group_starts[grp + 1] - 1]) AS place
        GROUP BY place
    ), sums AS (
        SELECT id, sum(held_usd) AS held_usd, sum(held_tokens) AS held_tokens, sum(held_calls) AS held_calls,
               sum(spent_usd) AS spent_usd, sum(spent_tokens) AS spent_tokens, sum(spent_calls) AS spent_calls,
               sum(usd) AS usd, sum(tokens) AS tokens, sum(calls) AS calls
        FROM (SELECT m.*, 0 AS usd, 0 AS tokens, 0 AS calls FROM moved m
              UNION ALL SELECT id, 0, 0, 0, 0, 0, 0, usd, tokens, calls FROM asked) u
        GROUP BY id
    ), facts AS (
        SELECT s.id, g.unit,
               CASE WHEN g.mode = 'hard' AND g."limit" IS NOT NULL THEN g."limit" ELSE 9223372036854775807 END AS cap,
               b.spent + CASE g.unit WHEN 'usd' THEN spent_usd WHEN 'tokens' THEN spent_tokens ELSE spent_calls END
                   AS spent,
               b.held + CASE g.unit WHEN 'usd' THEN held_usd WHEN 'tokens' THEN held_tokens ELSE held_calls END AS held,
               CASE g.unit WHEN 'usd' THEN usd WHEN 'tokens' THEN tokens ELSE calls END AS ask,
               b.id IS NULL OR b.window_end <= p_at AS over
        FROM sums s LEFT JOIN balance b ON b.id = s.id LEFT JOIN budget g ON g.id = b.budget_id
        ORDER BY s.id
    )
    SELECT array_agg(unit), array_agg(cap), array_agg(spent::bigint), array_agg(held::bigint),
           array_agg(coalesce(over, false)), bool_and(ask <= cap - spent - held)
    FROM facts
$$;
