-- The ledger's functions take locks, then read facts in later statements: only READ COMMITTED sees them fresh (rule 5).
CREATE FUNCTION ledger_assert_read_committed() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the ledger needs read committed, not %', current_setting('transaction_isolation')
            USING ERRCODE = '25001';
    END IF;
END $$;
