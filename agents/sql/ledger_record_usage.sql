-- Books a call that was made elsewhere (W10): nothing was held for it and it counts whatever the limits say, because it
-- has happened. p_call: the row in the names of call's columns; p_organization_version, p_agent_version: of the policy
-- that named the balances. Answers booked, same, conflict, running, other_day, stale when that policy is not the present
-- one (a budget may be missing), or window_over when one of the balances has ended meanwhile: then the client asks again.
CREATE FUNCTION ledger_record_usage(
    p_call jsonb, p_balances bigint[], p_organization_version bigint, p_agent_version bigint) RETURNS text
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t timestamptz;
    row_ call := jsonb_populate_record(NULL::call, p_call);
    known call;
    live bigint;
BEGIN
    PERFORM ledger_assert_read_committed();
    PERFORM ledger_lock(p_balances);
    t := ledger_clock();
    IF row_.call_id < uuid7_floor(t - interval '1 day') OR row_.call_id >= uuid7_floor(t + interval '1 day') THEN
        RETURN 'other_day';
    END IF;
    SELECT * INTO known FROM call WHERE call_id = row_.call_id AND seq = 0;
    IF FOUND THEN
        RETURN CASE WHEN known.agent_id = row_.agent_id AND known.endpoint = row_.endpoint
                         AND known.cost_pico = row_.cost_pico AND known.tokens = row_.tokens
                    THEN 'same' ELSE 'conflict' END;
    END IF;
    IF EXISTS (SELECT 1 FROM reservation WHERE call_id = row_.call_id) THEN
        RETURN 'running';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM agent a JOIN organization o ON o.id = a.organization_id
                   WHERE a.id = row_.agent_id AND a.policy_version = p_agent_version
                       AND o.id = row_.organization_id AND o.policy_version = p_organization_version) THEN
        RETURN 'stale';
    END IF;
    SELECT count(*) INTO live FROM balance WHERE id = ANY (p_balances) AND (window_end IS NULL OR t < window_end);
    IF live < cardinality(p_balances) THEN
        RETURN 'window_over';
    END IF;
    row_.seq := 0;
    row_.reserved_at := t;
    row_.ended_at := t;
    row_.balance_ids := p_balances;
    INSERT INTO call SELECT row_.*;
    PERFORM ledger_move(ARRAY(SELECT ROW(b, 0, 0, 0, row_.cost_pico, row_.tokens, row_.counted)::ledger_delta
                              FROM unnest(p_balances) AS b), p_balances);
    PERFORM ledger_roll(ARRAY[row_.call_id], t);
    RETURN 'booked';
END $$;
