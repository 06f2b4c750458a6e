-- A person's correction of what a call was charged (B13): a further row of the book that carries the difference to
-- p_cost_pico, on every balance that counted the call. Raises no_data_found for a call that is not in the book with a
-- charge, and serialization_failure when a balance was opened meanwhile: then it is asked again.
CREATE FUNCTION ledger_amend(p_call uuid, p_organization uuid, p_cost_pico bigint, p_facts jsonb) RETURNS call
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t timestamptz;
    first call;
    fix call;
    locked bigint[];
BEGIN
    PERFORM ledger_assert_read_committed();
    SELECT * INTO STRICT first FROM call
    WHERE call_id = p_call AND seq = 0 AND organization_id = p_organization AND status IN ('settled', 'expired');
    locked := ledger_counting(first);
    PERFORM ledger_lock(locked);
    -- Endings and corrections of this call hold its balances too, so what is read now stays.
    t := ledger_clock();
    fix := ledger_further_row(first, 'amended', t);
    fix.cost_pico := p_cost_pico - (SELECT sum(cost_pico) FROM call WHERE call_id = p_call);
    fix.balance_ids := ledger_counting(first);
    fix.facts := p_facts || jsonb_build_object('from_pico', p_cost_pico - fix.cost_pico, 'to_pico', p_cost_pico);
    INSERT INTO call SELECT fix.*;
    PERFORM ledger_move(ARRAY(SELECT ROW(b, 0, 0, 0, fix.cost_pico, 0, 0)::ledger_delta
                              FROM unnest(fix.balance_ids) AS b), locked);
    PERFORM ledger_roll(ARRAY[p_call], t);
    RETURN fix;
END $$;
