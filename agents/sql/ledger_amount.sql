-- What a call adds to what a balance of this unit has spent. Calls at a time are held, never spent.
CREATE FUNCTION ledger_amount(p_unit text, p_usd bigint, p_tokens bigint, p_calls bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE p_unit WHEN 'usd' THEN p_usd WHEN 'tokens' THEN p_tokens WHEN 'calls' THEN p_calls ELSE 0 END
$$;
