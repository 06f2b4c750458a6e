-- The balances of calls, open or expired, read before the lock so that they can be part of it.
CREATE FUNCTION ledger_balances_of(p_calls uuid[]) RETURNS bigint[] LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    found_count bigint;
    balances bigint[];
BEGIN
    SELECT count(DISTINCT call_id), array_agg(DISTINCT b) INTO found_count, balances
    FROM reservation, unnest(balance_ids) AS b WHERE call_id = ANY (p_calls);
    IF found_count < cardinality(p_calls) THEN
        balances := coalesce(balances, '{}') || ARRAY(
            SELECT DISTINCT b FROM call c, unnest(ledger_counting(c)) AS b
            WHERE c.call_id = ANY (p_calls) AND c.seq = 0 AND c.status = 'expired'
              AND c.call_id BETWEEN (SELECT min(x::text) FROM unnest(p_calls) AS x)::uuid
                              AND (SELECT max(x::text) FROM unnest(p_calls) AS x)::uuid);
    END IF;
    RETURN coalesce(balances, '{}');
END $$;
