-- Keeps an ending that contradicts the book as a row that moves nothing; the same contradiction twice is one row.
CREATE FUNCTION ledger_keep_conflict(p_first call, p_ending ledger_ending, p_at timestamptz) RETURNS text
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    odd call := p_first;
BEGIN
    odd.facts := jsonb_build_object('status', p_ending.status, 'cost_pico', p_ending.cost_pico,
                                    'tokens', p_ending.tokens);
    IF EXISTS (SELECT 1 FROM call WHERE call_id = p_first.call_id AND seq > 0 AND facts = odd.facts) THEN
        RETURN 'conflict';
    END IF;
    odd.seq := 1 + (SELECT max(seq) FROM call WHERE call_id = p_first.call_id);
    odd.ended_at := p_at;
    odd.status := 'corrected';
    odd.reason := 'settle_conflict';
    odd.basis := 'none';
    odd.held_pico := 0;
    odd.cost_pico := 0;
    odd.tokens := 0;
    odd.counted := 0;
    odd.input_tokens := 0;
    odd.cache_read_tokens := 0;
    odd.cache_write_tokens := 0;
    odd.cache_write_long_tokens := 0;
    odd.output_tokens := 0;
    odd.reasoning_tokens := 0;
    odd.pricing := NULL;
    INSERT INTO call SELECT odd.*;
    RETURN 'conflict';
END $$;
