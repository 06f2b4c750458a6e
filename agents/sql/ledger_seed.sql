-- Fills a balance that was just opened with what its window has spent and holds already: a new budget's, or that of a
-- session whose balance was purged. Nobody uses the balance yet, and the caller holds its budget. Open reservations
-- join first and the book is read after them: a call that ends meanwhile is waited for and then found in the book, and
-- a flush that looked its balances up before they joined is sent again (rule 9).
CREATE FUNCTION ledger_seed(p_balance bigint) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    b balance;
    g budget;
    name text;
    since timestamptz;
    held_now bigint;
    spent_before bigint;
BEGIN
    SELECT * INTO STRICT b FROM balance WHERE id = p_balance;
    SELECT * INTO STRICT g FROM budget WHERE id = b.budget_id;
    name := coalesce(nullif(g.scope_name, ''), b.subject);
    since := CASE g."window" WHEN 'rolling_24h' THEN date_trunc('hour', b.opened_at, 'UTC') - interval '24 hours'
                             ELSE b.window_start END;
    WITH joined AS (
        UPDATE reservation r SET balance_ids = ARRAY(SELECT i FROM unnest(r.balance_ids || b.id) AS i ORDER BY i)
        WHERE r.organization_id = g.organization_id AND (g.agent_id IS NULL OR r.agent_id = g.agent_id)
          AND r.practice = b.practice AND r.reserved_at >= b.window_start
          AND (b.window_end IS NULL OR r.reserved_at < b.window_end) AND NOT r.balance_ids && ledger_siblings(b)
          AND ledger_concerns(g.scope, g.agent_id, name, r.agent_id, r.start->>'session', r.start->>'user_subject',
                              r.start->>'model', r.start->>'sub_agent')
        RETURNING CASE g.unit WHEN 'usd' THEN r.usd_pico WHEN 'tokens' THEN r.tokens ELSE 1 END AS amount)
    SELECT coalesce(sum(amount), 0) INTO held_now FROM joined;
    IF g."window" = 'rolling_24h' THEN
        INSERT INTO balance_bucket (balance_id, bucket_start, spent)
        SELECT b.id, c.hour, c.amount FROM ledger_charged(b.id, since) c;
    END IF;
    SELECT coalesce(sum(amount), 0) INTO spent_before FROM ledger_charged(b.id, since);
    UPDATE balance SET spent = spent_before, seeded = spent_before, held = held_now, opened_at = ledger_clock()
    WHERE id = b.id;
END $$;
