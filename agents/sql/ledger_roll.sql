-- Adds to the hours of rolling budgets what these calls' rows of this moment charge; the caller holds their balances.
CREATE FUNCTION ledger_roll(p_calls uuid[], p_at timestamptz) RETURNS void LANGUAGE sql VOLATILE AS $$
    INSERT INTO balance_bucket (balance_id, bucket_start, spent)
    SELECT b.id, date_trunc('hour', c.reserved_at, 'UTC'), sum(ledger_amount(g.unit, c.cost_pico, c.tokens, c.counted))
    FROM call c CROSS JOIN unnest(c.balance_ids) AS x(id)
    JOIN balance b ON b.id = x.id
    JOIN budget g ON g.id = b.budget_id AND g."window" = 'rolling_24h'
    WHERE c.call_id = ANY (p_calls) AND c.ended_at = p_at
      AND c.call_id BETWEEN (SELECT min(i::text) FROM unnest(p_calls) AS i)::uuid
                        AND (SELECT max(i::text) FROM unnest(p_calls) AS i)::uuid
    GROUP BY 1, 2
    ON CONFLICT (balance_id, bucket_start) DO UPDATE SET spent = balance_bucket.spent + excluded.spent
$$;
