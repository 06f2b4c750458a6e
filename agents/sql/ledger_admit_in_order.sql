-- The exact path (rule 15): asks in order of arrival; each checks all its balances and only then adds to all.
-- p_seat leads from a place among the asked balances to one among the locked, which the facts are about; p_more_* is
-- what this flush's endings add. An ask's amount in a balance's unit decides, against the balance's limit or the
-- tighter one that its group brought. codes as in ledger_flush.
-- Of several balances without room the refusal names the one that leaves least hope: asked above the limit, then gone
-- for this window, then only held; among those, the one that has the smallest share of the amount left.
CREATE FUNCTION ledger_admit_in_order(
    p_seat integer[], p_group_places integer[], p_group_caps bigint[], p_group_starts integer[],
    p_groups integer[], p_usd bigint[], p_tokens bigint[], p_units text[], p_limits bigint[], p_spent bigint[],
    p_held bigint[], p_more_spent bigint[], p_more_held bigint[], INOUT codes smallint[],
    OUT refused_at integer[], OUT refused_spent bigint[], OUT refused_held bigint[])
    LANGUAGE plpgsql AS $$
DECLARE
    asked bigint;
    bound bigint;
    worst integer;
    worst_hope integer;
    worst_share double precision;
    hope integer;
    share double precision;
    n integer;
BEGIN
    FOR i IN 1 .. coalesce(cardinality(p_spent), 0) LOOP
        p_spent[i] := p_spent[i] + p_more_spent[i];
        p_held[i] := p_held[i] + p_more_held[i];
    END LOOP;
    refused_at := array_fill(0, ARRAY[cardinality(p_groups)]);
    refused_spent := array_fill(0::bigint, ARRAY[cardinality(p_groups)]);
    refused_held := refused_spent;
    FOR i IN 1 .. cardinality(p_groups) LOOP
        CONTINUE WHEN codes[i] <> 0;
        worst := 0;
        FOR k IN p_group_starts[p_groups[i]] .. p_group_starts[p_groups[i] + 1] - 1 LOOP
            n := p_seat[p_group_places[k]];
            asked := CASE p_units[n] WHEN 'usd' THEN p_usd[i] WHEN 'tokens' THEN p_tokens[i] ELSE 1 END;
            bound := least(p_limits[n], p_group_caps[k]);
            IF asked > bound - p_spent[n] - p_held[n] THEN
                hope := CASE WHEN asked > bound THEN 0 WHEN asked > bound - p_spent[n] THEN 1 ELSE 2 END;
                share := (bound - p_spent[n] - p_held[n])::double precision / greatest(asked, 1);
                IF worst = 0 OR hope < worst_hope OR (hope = worst_hope AND share < worst_share) THEN
                    worst := p_group_places[k];
                    worst_hope := hope;
                    worst_share := share;
                END IF;
            END IF;
        END LOOP;
        IF worst > 0 THEN
            codes[i] := 4;
            refused_at[i] := worst;
            refused_spent[i] := p_spent[p_seat[worst]];
            refused_held[i] := p_held[p_seat[worst]];
        ELSE
            FOR k IN p_group_starts[p_groups[i]] .. p_group_starts[p_groups[i] + 1] - 1 LOOP
                n := p_seat[p_group_places[k]];
                p_held[n] := p_held[n]
                    + CASE p_units[n] WHEN 'usd' THEN p_usd[i] WHEN 'tokens' THEN p_tokens[i] ELSE 1 END;
            END LOOP;
        END IF;
    END LOOP;
END $$;
