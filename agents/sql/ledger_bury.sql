-- Ends an ask whose answer was lost, before it may land (rule 8). The insert waits for one that is in flight.
-- True: no reservation of that id can come to be any more. False: it exists, and is to be voided like any other.
CREATE FUNCTION ledger_bury(p_call_id uuid, p_organization uuid, p_agent uuid, p_owner uuid, p_practice boolean,
                            p_usd_pico bigint, p_start jsonb) RETURNS boolean
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t timestamptz := ledger_clock();
    grave reservation;
BEGIN
    PERFORM ledger_assert_read_committed();
    INSERT INTO reservation (call_id, organization_id, agent_id, owner, reserved_at, deadline_at, usd_pico, tokens,
                             practice, balance_ids, start)
    VALUES (p_call_id, p_organization, p_agent, p_owner, t, t, 0, 0, p_practice, '{}', p_start)
    ON CONFLICT DO NOTHING RETURNING * INTO grave;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM reservation WHERE call_id = p_call_id;
    grave.usd_pico := p_usd_pico;
    INSERT INTO call SELECT c.* FROM ledger_row_of(grave, 'voided', t, 'lost_answer') AS c ON CONFLICT DO NOTHING;
    RETURN true;
END $$;
