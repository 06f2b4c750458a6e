-- Keeps an ending that contradicts the book as a row that moves nothing; the same contradiction twice is one row.
CREATE FUNCTION ledger_keep_conflict(p_first call, p_ending ledger_ending, p_at timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    odd call := ledger_further_row(p_first, 'settle_conflict', p_at);
BEGIN
    odd.facts := jsonb_build_object('status', p_ending.status, 'cost_pico', p_ending.cost_pico,
                                    'tokens', p_ending.tokens);
    IF NOT EXISTS (SELECT 1 FROM call WHERE call_id = p_first.call_id AND seq > 0 AND facts = odd.facts) THEN
        INSERT INTO call SELECT odd.*;
    END IF;
    RETURN 'conflict';
END $$;
