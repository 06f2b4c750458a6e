-- Makes every call of an organisation wait until the caller's transaction ends, by locking the current and the next
-- balances of its own budgets (every call has them), and those of the budgets given. Whatever is changed meanwhile
-- (limit, pause, key, credential, a new budget) holds for the very next call: commit order is the order of effect.
CREATE FUNCTION ledger_stand_still(p_organization uuid, p_budgets bigint[]) RETURNS void
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t timestamptz := ledger_clock();
    concerned bigint[];
    shared bigint[];
BEGIN
    PERFORM ledger_assert_read_committed();
    shared := ARRAY(SELECT id FROM budget WHERE organization_id = p_organization AND scope = 'organization'
                    AND ended_at IS NULL ORDER BY id);
    concerned := ARRAY(SELECT DISTINCT b FROM unnest(shared || p_budgets) AS b ORDER BY b);
    PERFORM 1 FROM budget WHERE id = ANY (concerned) ORDER BY id FOR NO KEY UPDATE;
    -- A window that begins within the minute is opened and locked too: no call may slip into it unseen.
    FOR moment IN 0 .. 1 LOOP
        PERFORM ledger_open_balances(
            ARRAY(SELECT b FROM unnest(shared) AS b, unnest(ARRAY[false, true]) AS practice ORDER BY b, practice),
            array_fill(''::text, ARRAY[2 * cardinality(shared)]),
            ARRAY(SELECT practice FROM unnest(shared) AS b, unnest(ARRAY[false, true]) AS practice ORDER BY b, practice),
            0, t + moment * interval '1 minute');
    END LOOP;
    PERFORM ledger_lock(ARRAY(SELECT id FROM balance WHERE budget_id = ANY (concerned)
                              AND (window_end IS NULL OR window_end > t)));
END $$;
