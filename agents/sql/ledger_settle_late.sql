-- Decides about endings whose reservation is gone, one by one; the caller holds the balances of their book rows.
--   expired, first late ending      a correction row moves the balances by actual minus charged; but where a person
--                                   has said meanwhile what the call cost, that stands and the ending is kept
--   the same ending again           nothing (its first answer was lost)
--   another ending                  the first counts; the other is kept as a row of no value, and the client alarms
--   not in the book either          "unknown": nothing to move, and the client alarms
CREATE FUNCTION ledger_settle_late(p_endings json, p_done uuid[], p_at timestamptz,
                                   OUT outcomes json, OUT deltas ledger_delta[])
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    s ledger_ending;
    first call;
    late call;
    outcome text;
    said jsonb := '{}';
BEGIN
    deltas := '{}';
    FOR s IN SELECT * FROM json_populate_recordset(NULL::ledger_ending, p_endings) e
             WHERE e.call_id <> ALL (coalesce(p_done, '{}')) LOOP
        s.cost_pico := coalesce(s.cost_pico, 0);
        s.tokens := coalesce(s.tokens, 0);
        SELECT * INTO first FROM call WHERE call_id = s.call_id AND seq = 0;
        IF NOT FOUND THEN
            outcome := 'unknown';
        ELSIF first.status = 'expired' THEN
            SELECT * INTO late FROM call WHERE call_id = s.call_id AND seq > 0 AND reason = 'late_settle';
            IF NOT FOUND AND EXISTS (SELECT 1 FROM call WHERE call_id = s.call_id AND reason = 'amended') THEN
                outcome := ledger_keep_conflict(first, s, p_at);
            ELSIF NOT FOUND THEN
                late := ledger_correct(first, s, p_at);
                deltas := deltas || ARRAY(
                    SELECT ROW(b, 0, 0, 0, late.cost_pico, late.tokens, late.counted)::ledger_delta
                    FROM unnest(late.balance_ids) AS b);
                outcome := 'corrected';
            ELSIF first.cost_pico + late.cost_pico = s.cost_pico AND first.tokens + late.tokens = s.tokens THEN
                outcome := 'same';
            ELSE
                outcome := ledger_keep_conflict(first, s, p_at);
            END IF;
        ELSIF first.status = s.status AND first.cost_pico = s.cost_pico AND first.tokens = s.tokens THEN
            outcome := 'same';
        ELSE
            outcome := ledger_keep_conflict(first, s, p_at);
        END IF;
        said := said || jsonb_build_object(s.call_id::text, outcome);
    END LOOP;
    outcomes := said::json;
END $$;
