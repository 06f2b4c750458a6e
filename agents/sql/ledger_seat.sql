-- The place of a balance among those that are locked; one that is not locked must not be moved, and the client resends.
CREATE FUNCTION ledger_seat(p_locked bigint[], p_balance bigint) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    n integer := array_position(p_locked, p_balance);
BEGIN
    IF n IS NULL THEN
        RAISE EXCEPTION 'balance % is outside the locked set', p_balance USING ERRCODE = '40001';
    END IF;
    RETURN n;
END $$;
