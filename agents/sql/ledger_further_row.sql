-- A further row of the book about a call that has ended: of the same call, counted on the same balances, and so far it
-- says and moves nothing. Its author fills in what it is for, and writes it.
CREATE FUNCTION ledger_further_row(p_first call, p_reason text, p_at timestamptz) RETURNS call
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    row_ call := p_first;
BEGIN
    row_.seq := 1 + (SELECT max(seq) FROM call WHERE call_id = p_first.call_id);
    row_.ended_at := p_at;
    row_.status := 'corrected';
    row_.reason := p_reason;
    row_.basis := 'none';
    row_.held_pico := 0;
    row_.cost_pico := 0;
    row_.tokens := 0;
    row_.counted := 0;
    row_.input_tokens := 0;
    row_.cache_read_tokens := 0;
    row_.cache_write_tokens := 0;
    row_.cache_write_long_tokens := 0;
    row_.output_tokens := 0;
    row_.reasoning_tokens := 0;
    row_.pricing := NULL;
    row_.facts := NULL;
    RETURN row_;
END $$;
