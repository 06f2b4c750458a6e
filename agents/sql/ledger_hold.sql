-- Inserts the reservations of admitted asks (code 0; NULL codes: all). Held moves only by what RETURNING gives, and
-- ids that the book has already ended are withdrawn again (rules 7 and 8).
-- deltas are NULL in the usual case: all were to be held, all are, and the caller knows their sums.
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
    IF 0 <> ALL (p_codes) THEN
        deltas := '{}';
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
        RETURNING call_id
    )
    SELECT array_agg(call_id ORDER BY call_id) INTO put FROM inserted;
    ended := ledger_ended(put);
    IF p_codes IS NULL AND cardinality(put) = cardinality(p_ids) AND cardinality(ended) = 0 THEN
        RETURN;
    END IF;
    IF cardinality(ended) > 0 THEN
        DELETE FROM reservation WHERE call_id = ANY (ended);
        put := ARRAY(SELECT id FROM unnest(put) AS id WHERE id <> ALL (ended));
    END IF;
    deltas := ARRAY(
        SELECT ROW(b, sum(usd_pico), sum(tokens), count(*), 0, 0, 0)::ledger_delta
        FROM reservation, unnest(balance_ids) AS b WHERE call_id = ANY (put) GROUP BY b);
    IF coalesce(cardinality(put), 0) < cardinality(p_ids) THEN
        said := ledger_codes_of_known(
            ARRAY(SELECT CASE WHEN coalesce(p_codes[i.n], 0) > 0 THEN p_codes[i.n]
                              WHEN i.id = ANY (put) THEN 0 ELSE 5 END::smallint
                  FROM unnest(p_ids) WITH ORDINALITY AS i(id, n) ORDER BY i.n), p_owner, p_ids, p_usd);
        said := ARRAY(SELECT CASE WHEN i.id = ANY (put) THEN 0 ELSE said[i.n] END::smallint
                      FROM unnest(p_ids) WITH ORDINALITY AS i(id, n) ORDER BY i.n);
    END IF;
END $$;
