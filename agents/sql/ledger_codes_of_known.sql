-- An ask that was admitted before (its answer was lost) must not be refused for want of room that it holds itself.
-- Whoever inserts a reservation holds its balances, and the caller holds them now, so what is read here stays.
CREATE FUNCTION ledger_codes_of_known(p_codes smallint[], p_owner uuid, p_ids uuid[], p_usd bigint[])
    RETURNS smallint[] LANGUAGE sql VOLATILE AS $$
    SELECT array_agg(CASE WHEN r.call_id IS NULL THEN p_codes[i.n]
                          WHEN r.owner = p_owner AND r.usd_pico = i.usd THEN 1 ELSE 5 END::smallint ORDER BY i.n)
    FROM unnest(p_ids, p_usd) WITH ORDINALITY AS i(id, usd, n)
    LEFT JOIN reservation r ON r.call_id = i.id
$$;
