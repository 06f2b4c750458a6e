-- One batch of a process: endings first, then asks, all of them one commit. docs/ledger.md tells it step by step.
-- What the batch does not have (endings, asks, limits of their own) is NULL: an empty array costs as much as a full one.
-- Asks come in groups of the same agent, versions and balances. p_balances: every balance that an ask names, distinct
-- and ascending; p_asked_*: what all asks together want of each; p_caps: the tightest limit that a call brought for it
-- itself, NULL for none; p_group_places: positions in p_balances, group after group, each beginning at
-- p_group_starts[group], and beside each the group's own limit for it, if any (p_group_caps).
-- codes (NULL: all admitted): 0 admitted, 1 admitted before, 2 stale, 3 window over, 4 refused, 5 ended before,
-- 6 id from another day. limits (NULL: none), spent and held answer p_balances as they are after this flush; rooms:
-- when the oldest amount of a rolling budget leaves it.
-- Longer than others because its order is the safety: lock, endings, facts, admission, holds, one update.
CREATE FUNCTION ledger_flush(
    p_owner uuid, p_ending_ids uuid[], p_endings json,
    p_balances bigint[], p_asked_usd bigint[], p_asked_tokens bigint[], p_asked_calls bigint[], p_caps bigint[],
    p_group_balances text[], p_group_places integer[], p_group_caps bigint[], p_group_starts integer[],
    p_group_organizations uuid[], p_group_agents uuid[], p_group_organization_versions bigint[],
    p_group_agent_versions bigint[], p_group_practice boolean[],
    p_ids uuid[], p_groups integer[], p_usd bigint[], p_tokens bigint[], p_seconds double precision[], p_starts text[],
    OUT flushed_at timestamptz, OUT outcomes json, OUT codes smallint[], OUT limits bigint[], OUT spent bigint[],
    OUT held bigint[], OUT rooms timestamptz[], OUT refused_at integer[], OUT refused_spent bigint[],
    OUT refused_held bigint[])
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    wanted bigint[] := p_balances;
    locked bigint[];
    units text[]; caps bigint[]; bounds bigint[]; overs boolean[];  -- facts of locked balances
    asked bigint[];                                                 -- what p_balances are asked for, in their units
    rolls boolean[]; leaves timestamptz[];                          -- rolling ones, and when their oldest amount leaves
    spents bigint[]; helds bigint[];                                -- what they will be after this flush
    more_spent bigint[]; more_held bigint[];                        -- what this flush adds
    ended uuid[];
    deltas ledger_delta[] := '{}';
    d ledger_delta;
    late record;
    hours record;
    put record;
    is_plain boolean := true;
    seat integer[];                                                 -- place in p_balances -> place in locked
    n integer;
BEGIN
    -- Asked here, since a statement of its own would cost as much as a look-up.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM ledger_assert_read_committed();
    END IF;
    flushed_at := ledger_clock();
    IF p_ending_ids IS NOT NULL THEN
        wanted := wanted || ledger_balances_of(p_ending_ids);
    END IF;
    locked := ARRAY(SELECT id FROM balance WHERE id = ANY (wanted) ORDER BY id FOR NO KEY UPDATE);

    IF p_ending_ids IS NOT NULL THEN
        SELECT b.ended, coalesce(b.deltas, '{}') INTO ended, deltas FROM ledger_settle_batch(p_endings, flushed_at) b;
        IF coalesce(cardinality(ended), 0) < cardinality(p_ending_ids) THEN
            late := ledger_settle_late(p_endings, ended, flushed_at);
            outcomes := late.outcomes;
            deltas := deltas || late.deltas;
        END IF;
    END IF;

    -- Facts come from a statement of their own, after the lock (rule 4).
    SELECT array_agg(f.unit), array_agg(f.cap), array_agg(f.bound), array_agg(f.over), array_agg(f.spent),
           array_agg(f.held), array_agg(f.rolling)
    INTO units, caps, bounds, overs, spents, helds, rolls
    FROM (SELECT g.unit, l.cap, coalesce(b.window_end <= flushed_at, false) AS over, b.held, b.spent,
                 g."window" = 'rolling_24h' AS rolling,
                 CASE WHEN g.mode = 'hard' AND l.cap IS NOT NULL THEN l.cap ELSE 9223372036854775807 END AS bound
          FROM balance b JOIN budget g ON g.id = b.budget_id
          CROSS JOIN LATERAL (SELECT CASE WHEN b.extra = 0 OR g."limit" IS NULL THEN g."limit" ELSE
              least(g."limit"::numeric + b.extra, 9223372036854775807)::bigint END AS cap) l
          WHERE b.id = ANY (locked) ORDER BY b.id) f;
    more_spent := array_fill(0::bigint, ARRAY[cardinality(locked)]);
    more_held := more_spent;
    FOREACH d IN ARRAY deltas LOOP
        n := ledger_seat(locked, d.balance_id);
        more_held[n] := more_held[n] + CASE units[n] WHEN 'usd' THEN d.held_usd WHEN 'tokens' THEN d.held_tokens
                                                     ELSE d.held_calls END;
        more_spent[n] := more_spent[n] + CASE units[n] WHEN 'usd' THEN d.spent_usd WHEN 'tokens' THEN d.spent_tokens
                                                       WHEN 'calls' THEN d.spent_calls ELSE 0 END;
    END LOOP;
    IF true = ANY (rolls) THEN
        IF p_ending_ids IS NOT NULL THEN
            PERFORM ledger_roll(p_ending_ids, flushed_at);
        END IF;
        FOR i IN 1 .. cardinality(locked) LOOP
            IF rolls[i] THEN
                -- What ended may have been reserved before the 24 hours that count: the hours tell what does.
                hours := ledger_rolling(locked[i], flushed_at);
                spents[i] := hours.spent - more_spent[i];
                leaves[i] := hours.room_at;
            END IF;
        END LOOP;
    END IF;

    IF p_ids IS NOT NULL THEN
        FOR i IN 1 .. cardinality(p_balances) LOOP
            n := array_position(locked, p_balances[i]);
            seat[i] := n;
            asked[i] := CASE units[n] WHEN 'usd' THEN p_asked_usd[i] WHEN 'tokens' THEN p_asked_tokens[i]
                                      ELSE p_asked_calls[i] END;
            -- All asks together stay within every limit: the usual case, decided at once. A sum that a bigint does not
            -- hold was cut to the largest one, and is counted ask by ask.
            is_plain := is_plain AND n IS NOT NULL AND NOT overs[n] AND asked[i] < 9223372036854775807
                AND least(bounds[n], p_caps[i]) - spents[n] - more_spent[n] - helds[n] - more_held[n] >= asked[i];
        END LOOP;
        IF NOT (is_plain AND ledger_is_current(flushed_at, p_group_organizations, p_group_agents,
                                               p_group_organization_versions, p_group_agent_versions, p_ids)) THEN
            is_plain := false;
            codes := ledger_doubts(flushed_at, seat, overs, p_group_places, p_group_starts, p_group_organizations,
                                   p_group_agents, p_group_organization_versions, p_group_agent_versions, p_ids,
                                   p_groups);
            codes := ledger_codes_of_known(codes, p_owner, p_ids, p_usd);
            SELECT a.codes, a.refused_at, a.refused_spent, a.refused_held
            INTO codes, refused_at, refused_spent, refused_held
            FROM ledger_admit_in_order(seat, p_group_places, p_group_caps, p_group_starts, p_groups, p_usd, p_tokens,
                                       units, bounds, spents, helds, more_spent, more_held, codes) a;
        END IF;
        put := ledger_hold(p_owner, flushed_at, p_group_balances, p_group_organizations, p_group_agents,
                           p_group_practice, p_ids, p_groups, p_usd, p_tokens, p_seconds, p_starts, codes);
        codes := put.said;
        IF put.deltas IS NULL THEN
            FOR i IN 1 .. cardinality(p_balances) LOOP
                more_held[seat[i]] := more_held[seat[i]] + asked[i];
            END LOOP;
        ELSE
            FOREACH d IN ARRAY put.deltas LOOP
                n := ledger_seat(locked, d.balance_id);
                more_held[n] := more_held[n] + CASE units[n] WHEN 'usd' THEN d.held_usd
                                                             WHEN 'tokens' THEN d.held_tokens ELSE d.held_calls END;
            END LOOP;
        END IF;
    END IF;

    -- One update for each balance with all that this flush adds to it (rule 16).
    UPDATE balance b SET held = b.held + m.held, spent = b.spent + m.spent
    FROM unnest(locked, more_held, more_spent) AS m(id, held, spent)
    WHERE b.id = m.id AND (m.held <> 0 OR m.spent <> 0);

    FOR i IN 1 .. coalesce(cardinality(p_balances), 0) LOOP
        n := seat[i];
        limits[i] := caps[n];
        spent[i] := spents[n] + more_spent[n];
        held[i] := helds[n] + more_held[n];
        rooms[i] := leaves[n];
        IF is_plain AND held[i] > bounds[n] - spent[i] THEN
            RAISE EXCEPTION 'balance % would pass its limit', p_balances[i] USING ERRCODE = '23514';
        END IF;
    END LOOP;
END $$;
