-- One update for each balance with all that a flush adds to it (rule 16); the balance's unit chooses the sum.
CREATE FUNCTION ledger_move(p_deltas ledger_delta[], p_locked bigint[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM unnest(p_deltas) AS d WHERE d.balance_id <> ALL (p_locked)) THEN
        RAISE EXCEPTION 'a balance outside the locked set' USING ERRCODE = '40001';
    END IF;
    UPDATE balance b
    SET held = b.held + CASE g.unit WHEN 'usd' THEN d.held_usd WHEN 'tokens' THEN d.held_tokens ELSE d.held_calls END,
        spent = b.spent
            + ledger_amount(g.unit, d.spent_usd, d.spent_tokens, d.spent_calls)
    FROM (SELECT balance_id,
                 sum(held_usd)::bigint AS held_usd, sum(held_tokens)::bigint AS held_tokens,
                 sum(held_calls)::bigint AS held_calls, sum(spent_usd)::bigint AS spent_usd,
                 sum(spent_tokens)::bigint AS spent_tokens, sum(spent_calls)::bigint AS spent_calls
          FROM unnest(p_deltas) AS d GROUP BY balance_id) d,
         budget g
    WHERE b.id = d.balance_id AND g.id = b.budget_id;
END $$;
