-- One batch of a process: endings first, then asks, all of them one commit. docs/ledger.md tells it step by step.
-- Asks come in groups of the same agent, versions and balances. p_balances: every balance that an ask names, distinct
-- and ascending; p_group_places: positions in it, group after group, each beginning at p_group_starts[group].
-- codes (NULL: all admitted): 0 admitted, 1 admitted before, 2 stale, 3 window over, 4 refused, 5 ended before,
-- 6 id from another day. limits (NULL: none), spent and held answer p_balances as they are after this flush.
-- Longer than others because its order is the safety: lock, endings, facts, admission, holds, one update.
CREATE FUNCTION ledger_flush(
    p_owner uuid, p_ending_ids uuid[], p_endings json, p_balances bigint[],
    p_group_balances text[], p_group_places integer[], p_group_starts integer[],
    p_group_organizations uuid[], p_group_agents uuid[], p_group_organization_versions bigint[],
    p_group_agent_versions bigint[], p_group_practice boolean[],
    p_ids uuid[], p_groups integer[], p_usd bigint[], p_tokens bigint[], p_seconds double precision[], p_starts text[],
    OUT flushed_at timestamptz, OUT outcomes json, OUT codes smallint[], OUT limits bigint[], OUT spent bigint[],
    OUT held bigint[], OUT refused_at integer[], OUT refused_spent bigint[], OUT refused_held bigint[])
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    nothing constant bigint[] := '{}';
    unlimited constant bigint := 9223372036854775807;
    locked bigint[] := p_balances;
    ended uuid[];
    deltas ledger_delta[] := '{}';
    late record;
    put record;
    facts record;
    ask_count integer := cardinality(p_ids);
BEGIN
    PERFORM ledger_assert_read_committed();
    flushed_at := clock_timestamp();
    IF cardinality(p_ending_ids) > 0 THEN
        locked := locked || ledger_balances_of(p_ending_ids);
    END IF;
    PERFORM 1 FROM balance WHERE id = ANY (locked) ORDER BY id FOR NO KEY UPDATE;

    IF cardinality(p_ending_ids) > 0 THEN
        SELECT b.ended, coalesce(b.deltas, '{}') INTO ended, deltas FROM ledger_settle_batch(p_endings, flushed_at) b;
        IF coalesce(cardinality(ended), 0) < cardinality(p_ending_ids) THEN
            late := ledger_settle_late(p_endings, ended, flushed_at);
            outcomes := late.outcomes;
            deltas := deltas || late.deltas;
        END IF;
    END IF;

    IF ask_count > 0 THEN
        facts := ledger_facts(flushed_at, p_balances, deltas, p_groups, p_usd, p_tokens, p_group_places, p_group_starts);
        codes := ledger_doubts(flushed_at, facts.over, p_group_places, p_group_starts, p_group_organizations,
                               p_group_agents, p_group_organization_versions, p_group_agent_versions, p_ids, p_groups);
        IF NOT facts.fits OR codes IS NOT NULL THEN
            codes := ledger_codes_of_known(coalesce(codes, array_fill(0::smallint, ARRAY[ask_count])), p_owner, p_ids, p_usd);
            SELECT a.codes, a.refused_at, a.refused_spent, a.refused_held
            INTO codes, refused_at, refused_spent, refused_held
            FROM ledger_admit_in_order(p_group_places, p_group_starts, p_groups, p_usd, p_tokens,
                                       facts.units, facts.limits, facts.spent, facts.held, codes) a;
        END IF;
        put := ledger_hold(p_owner, flushed_at, p_group_balances, p_group_organizations, p_group_agents,
                           p_group_practice, p_ids, p_groups, p_usd, p_tokens, p_seconds, p_starts, codes);
        codes := put.said;
        deltas := deltas || put.deltas;
    END IF;

    IF cardinality(deltas) > 0 THEN
        PERFORM ledger_move(deltas, locked);
    END IF;
    IF ask_count > 0 THEN
        SELECT array_agg(f.cap), array_agg(f.spent), array_agg(f.held) INTO limits, spent, held
        FROM (SELECT g."limit" AS cap, b.spent, b.held
              FROM unnest(p_balances) WITH ORDINALITY AS w(id, place)
              LEFT JOIN balance b ON b.id = w.id LEFT JOIN budget g ON g.id = b.budget_id ORDER BY w.place) f;
    END IF;
END $$;
