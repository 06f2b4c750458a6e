-- Locks balances in id order, in one statement: whoever keeps to it cannot deadlock (rule 1).
CREATE FUNCTION ledger_lock(p_balances bigint[]) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM 1 FROM balance WHERE id = ANY (p_balances) ORDER BY id FOR NO KEY UPDATE;
END $$;
