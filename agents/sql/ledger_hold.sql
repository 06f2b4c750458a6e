-- Inserts the reservations of admitted asks (code 0; NULL codes: all). Held moves only by what RETURNING gives, and
-- ids that the book has already ended are withdrawn again (rules 7 and 8).
CREATE FUNCTION ledger_hold(
    p_owner uuid, p_at timestamptz, p_group_balances text[], p_group_organizations uuid[], p_group_agents uuid[],
    p_group_practice boolean[], p_ids uuid[], p_groups integer[], p_usd bigint[], p_tokens bigint[],
    p_seconds double precision[], p_starts text[], p_codes smallint[],
    OUT said smallint[], OUT deltas ledger_delta[])
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    put uuid[];
    ended uuid[];
BEGIN
    said := p_codes;
    deltas := '{}';
    IF 0 <> ALL (p_codes) THEN
        RETURN;
    END IF;
    WITH inserted AS (
        INSERT INTO reservation (call_id, organization_id, agent_id, owner, reserved_at, deadline_at, usd_pico, tokens,
                                 practice, balance_ids, start)
        SELECT a.id, p_group_organizations[a.grp], p_group_agents[a.grp], p_owner, p_at,
               p_at + make_interval(secs => a.seconds), a.usd, a.tokens, p_group_practice[a.grp],
               p_group_balances[a.grp]::bigint[], a.start::jsonb
        FROM unnest(p_ids, p_groups, p_usd, p_tokens, p_seconds, p_starts)
             WITH ORDINALITY AS a(id, grp, usd, tokens, seconds, start, n)
        WHERE p_codes IS NULL OR p_codes[a.n] = 0
        ON CONFLICT DO NOTHING
        RETURNING call_id, usd_pico, tokens, balance_ids
    ), sums AS (
        SELECT balance_ids, sum(usd_pico) AS usd, sum(tokens) AS tokens, count(*) AS calls
        FROM inserted GROUP BY balance_ids
    )
    SELECT ARRAY(SELECT call_id FROM inserted ORDER BY call_id),
           ARRAY(SELECT ROW(b, usd, tokens, calls, 0, 0, 0)::ledger_delta FROM sums, unnest(balance_ids) AS b)
    INTO put, deltas;
    ended := ARRAY(SELECT call_id FROM call WHERE call_id = ANY (put) AND seq = 0
                   AND call_id BETWEEN put[1] AND put[cardinality(put)]);
    IF cardinality(ended) > 0 THEN
        WITH withdrawn AS (
            DELETE FROM reservation WHERE call_id = ANY (ended) RETURNING usd_pico, tokens, balance_ids)
        SELECT deltas || array_agg(ROW(b, -usd_pico, -tokens, -1, 0, 0, 0)::ledger_delta) INTO deltas
        FROM withdrawn, unnest(balance_ids) AS b;
    END IF;
    IF cardinality(put) < cardinality(p_ids) OR cardinality(ended) > 0 THEN
        said := ledger_codes_of_known(
            ARRAY(SELECT CASE WHEN coalesce(p_codes[i.n], 0) > 0 THEN p_codes[i.n]
                              WHEN i.id = ANY (put) AND i.id <> ALL (ended) THEN 0 ELSE 5 END::smallint
                  FROM unnest(p_ids) WITH ORDINALITY AS i(id, n) ORDER BY i.n), p_owner, p_ids, p_usd);
        said := ARRAY(SELECT CASE WHEN i.id = ANY (put) AND i.id <> ALL (ended) THEN 0 ELSE said[i.n] END::smallint
                      FROM unnest(p_ids) WITH ORDINALITY AS i(id, n) ORDER BY i.n);
    END IF;
END $$;
