-- Opens the balances of a new budget with what its window has already spent and holds. The caller's transaction has
-- made the organisation stand still, so neither moves meanwhile. Open reservations join the new balance.
CREATE FUNCTION ledger_seed(p_budget bigint) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    g budget;
    seat record;
    spent_before bigint;
BEGIN
    SELECT * INTO STRICT g FROM budget WHERE id = p_budget;
    IF g.scope NOT IN ('organization', 'agent') THEN
        RAISE EXCEPTION 'budgets per % are not available yet', g.scope USING ERRCODE = '0A000';
    END IF;
    FOR seat IN SELECT o.*, o.place = 2 AS practice
                FROM ledger_open_balances(ARRAY[g.id, g.id], ARRAY['', ''], ARRAY[false, true]) o LOOP
        SELECT coalesce(sum(CASE g.unit WHEN 'usd' THEN cost_pico WHEN 'tokens' THEN tokens ELSE counted END), 0)
        INTO spent_before
        FROM call c
        WHERE c.organization_id = g.organization_id AND (g.agent_id IS NULL OR c.agent_id = g.agent_id)
          AND c.practice = seat.practice AND c.reserved_at >= seat.window_start
          AND (seat.window_end IS NULL OR c.reserved_at < seat.window_end)
          AND c.call_id >= uuid7_floor(greatest(seat.window_start - interval '1 day', to_timestamp(0)));
        WITH joined AS (
            UPDATE reservation r SET balance_ids = ARRAY(SELECT b FROM unnest(r.balance_ids || seat.balance_id) AS b
                                                         ORDER BY b)
            WHERE r.organization_id = g.organization_id AND (g.agent_id IS NULL OR r.agent_id = g.agent_id)
              AND r.practice = seat.practice AND r.reserved_at >= seat.window_start
              AND (seat.window_end IS NULL OR r.reserved_at < seat.window_end)
            RETURNING CASE g.unit WHEN 'usd' THEN r.usd_pico WHEN 'tokens' THEN r.tokens ELSE 1 END AS amount)
        UPDATE balance SET spent = spent_before, seeded = spent_before,
                           held = (SELECT coalesce(sum(amount), 0) FROM joined)
        WHERE id = seat.balance_id;
    END LOOP;
END $$;
