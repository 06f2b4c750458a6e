-- What the book has charged since then to the calls that a balance is about, by hour of reserving. Sessions and users
-- have indexes of their own, because a balance opens at each one's first call. What another window of the same budget
-- has counted is not counted again.
CREATE FUNCTION ledger_charged(p_balance bigint, p_since timestamptz)
    RETURNS TABLE (hour timestamptz, amount bigint) LANGUAGE plpgsql STABLE AS $$
DECLARE
    b balance;
    g budget;
    name text;
    by_name text := '';
    others bigint[];
BEGIN
    SELECT * INTO STRICT b FROM balance WHERE id = p_balance;
    SELECT * INTO STRICT g FROM budget WHERE id = b.budget_id;
    name := coalesce(nullif(g.scope_name, ''), b.subject);
    others := ledger_siblings(b);
    IF g.scope = 'session' AND name <> '-' THEN
        by_name := 'AND c.session = $6 AND c.session <> ''''';
    ELSIF g.scope IN ('user', 'agent_user') AND name <> '-' THEN
        by_name := 'AND c.user_subject = $6 AND c.user_subject <> ''''';
    END IF;
    RETURN QUERY EXECUTE format(
        'SELECT date_trunc(''hour'', c.reserved_at, ''UTC''),
                sum(ledger_amount($7, c.cost_pico, c.tokens, c.counted))::bigint
         FROM call c
         WHERE c.organization_id = $1 AND ($2 IS NULL OR c.agent_id = $2) AND c.practice = $3
           AND c.reserved_at >= $4 AND ($5 IS NULL OR c.reserved_at < $5)
           AND c.call_id >= uuid7_floor(greatest($4 - interval ''1 day'', to_timestamp(0)))
           AND NOT c.balance_ids && $9
           AND ledger_concerns($8, $2, $6, c.agent_id, c.session, c.user_subject, c.model, c.sub_agent) %s
         GROUP BY 1', by_name)
        USING g.organization_id, g.agent_id, b.practice, p_since, b.window_end, name, g.unit::text, g.scope::text,
              others;
END $$;
