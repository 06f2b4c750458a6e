-- The balances that counted an ended call: those of its row, and those that were opened later and seeded with it. One
-- that was purged since is left out: nothing is left of it to move. A rolling budget was seeded with a day of hours
-- (ledger_seed); an older hour that it knows is another call's, which was open then.
CREATE FUNCTION ledger_counting(p_first call) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT b.id FROM balance b WHERE b.id = ANY (p_first.balance_ids)
        UNION
        SELECT b.id FROM budget g JOIN balance b ON b.budget_id = g.id
        WHERE g.organization_id = p_first.organization_id AND cardinality(p_first.balance_ids) > 0
          AND b.practice = p_first.practice AND b.opened_at > p_first.ended_at
          AND b.window_start <= p_first.reserved_at
          AND (b.window_end IS NULL OR p_first.reserved_at < b.window_end)
          AND (g."window" <> 'rolling_24h'
               OR p_first.reserved_at >= date_trunc('hour', b.opened_at, 'UTC') - interval '24 hours' AND EXISTS (
                   SELECT 1 FROM balance_bucket k
                   WHERE k.balance_id = b.id AND k.bucket_start = date_trunc('hour', p_first.reserved_at, 'UTC')))
          AND b.subject IN ('', '-', p_first.session, p_first.user_subject, p_first.model, p_first.sub_agent)
          AND ledger_concerns(g.scope, g.agent_id, coalesce(nullif(g.scope_name, ''), b.subject), p_first.agent_id,
                              p_first.session, p_first.user_subject, p_first.model, p_first.sub_agent)
        ORDER BY 1)
$$;
