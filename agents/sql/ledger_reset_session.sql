-- Lets an agent's session begin anew (W10): its balances per session end now, and the next call opens new ones. What
-- runs meanwhile ends on the old ones. Answers how many ended.
CREATE FUNCTION ledger_reset_session(p_agent uuid, p_session text, p_practice boolean) RETURNS integer
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    concerned bigint[];
    ended integer;
BEGIN
    PERFORM ledger_assert_read_committed();
    concerned := ARRAY(
        SELECT b.id FROM budget g JOIN balance b ON b.budget_id = g.id
        WHERE g.agent_id = p_agent AND g.scope = 'session' AND g."window" = 'session' AND b.subject = p_session
          AND b.practice = p_practice AND b.window_end IS NULL);
    PERFORM ledger_lock(concerned);
    UPDATE balance SET window_end = ledger_clock() WHERE id = ANY (concerned) AND window_end IS NULL;
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END $$;
