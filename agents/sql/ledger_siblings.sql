-- The latest other balances of the same budget and subject.
CREATE FUNCTION ledger_siblings(p_balance balance) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(SELECT id FROM balance o
                 WHERE o.budget_id = p_balance.budget_id AND o.subject = p_balance.subject
                   AND o.practice = p_balance.practice AND o.id <> p_balance.id
                 ORDER BY o.window_start DESC LIMIT 9)
$$;
