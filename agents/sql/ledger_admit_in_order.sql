-- The exact path (rule 15): asks in order of arrival; each checks all its balances and only then adds to all.
-- room: what each balance has left (limit - spent - held), by place. An ask's amount in a balance's unit decides.
-- codes as in ledger_flush. Of several balances without room the refusal names the one that leaves least hope:
-- asked above the limit, then gone for this window, then only held; among those, the smallest share that would fit.
CREATE FUNCTION ledger_admit_in_order(
    p_group_places integer[], p_group_starts integer[], p_groups integer[], p_usd bigint[], p_tokens bigint[],
    p_units text[], p_limits bigint[], p_spent bigint[], p_held bigint[], INOUT codes smallint[],
    OUT refused_at integer[], OUT refused_spent bigint[], OUT refused_held bigint[])
    LANGUAGE plpgsql AS $$
DECLARE
    asked bigint;
    worst integer;
    worst_hope integer;
    worst_share double precision;
    hope integer;
    share double precision;
    p integer;
BEGIN
    refused_at := array_fill(0, ARRAY[cardinality(p_groups)]);
    refused_spent := array_fill(0::bigint, ARRAY[cardinality(p_groups)]);
    refused_held := refused_spent;
    FOR i IN 1 .. cardinality(p_groups) LOOP
        CONTINUE WHEN codes[i] <> 0;
        worst := 0;
        FOR k IN p_group_starts[p_groups[i]] .. p_group_starts[p_groups[i] + 1] - 1 LOOP
            p := p_group_places[k];
            asked := CASE p_units[p] WHEN 'usd' THEN p_usd[i] WHEN 'tokens' THEN p_tokens[i] ELSE 1 END;
            IF asked > p_limits[p] - p_spent[p] - p_held[p] THEN
                hope := CASE WHEN asked > p_limits[p] THEN 0 WHEN asked > p_limits[p] - p_spent[p] THEN 1 ELSE 2 END;
                share := (p_limits[p] - p_spent[p] - p_held[p])::double precision / greatest(asked, 1);
                IF worst = 0 OR hope < worst_hope OR (hope = worst_hope AND share < worst_share) THEN
                    worst := p;
                    worst_hope := hope;
                    worst_share := share;
                END IF;
            END IF;
        END LOOP;
        IF worst > 0 THEN
            codes[i] := 4;
            refused_at[i] := worst;
            refused_spent[i] := p_spent[worst];
            refused_held[i] := p_held[worst];
        ELSE
            FOR k IN p_group_starts[p_groups[i]] .. p_group_starts[p_groups[i] + 1] - 1 LOOP
                p := p_group_places[k];
                p_held[p] := p_held[p]
                    + CASE p_units[p] WHEN 'usd' THEN p_usd[i] WHEN 'tokens' THEN p_tokens[i] ELSE 1 END;
            END LOOP;
        END IF;
    END LOOP;
END $$;
