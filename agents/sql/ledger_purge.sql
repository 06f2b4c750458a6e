-- Forgets balances of subjects that nobody needs any more (rule 13): ended windows, sessions that rest, rolling budgets
-- of subjects that have been quiet. A subject that comes back is seeded from the book. Answers how many went.
CREATE FUNCTION ledger_purge(p_limit integer) RETURNS integer LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t timestamptz := ledger_clock();
    doomed bigint[];
BEGIN
    PERFORM ledger_assert_read_committed();
    -- Whoever is using one of them holds it: those are skipped, not waited for.
    doomed := ARRAY(
        SELECT b.id FROM balance b JOIN budget g ON g.id = b.budget_id
        WHERE b.subject <> '' AND b.held = 0 AND b.opened_at < t - interval '40 days'
          AND (b.window_end < t - interval '40 days'
               OR (b.window_end IS NULL AND g."window" IN ('session', 'rolling_24h')
                   AND g.scope IN ('session', 'user', 'agent_user') AND NOT EXISTS (
                       SELECT 1 FROM call c
                       WHERE c.organization_id = g.organization_id AND c.call_id >= uuid7_floor(t - interval '40 days')
                         AND CASE g.scope WHEN 'session' THEN c.session ELSE c.user_subject END
                             = CASE b.subject WHEN '-' THEN '' ELSE b.subject END)))
        ORDER BY b.id LIMIT p_limit FOR NO KEY UPDATE OF b SKIP LOCKED);
    DELETE FROM balance_bucket WHERE balance_id = ANY (doomed);
    DELETE FROM balance WHERE id = ANY (doomed);
    DELETE FROM balance_bucket WHERE bucket_start < t - interval '40 days';
    RETURN cardinality(doomed);
END $$;
