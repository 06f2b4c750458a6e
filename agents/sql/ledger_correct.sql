-- Writes the correction of an expired call: the row carries actual minus what the expiry charged.
CREATE FUNCTION ledger_correct(p_first call, p_ending ledger_ending, p_at timestamptz) RETURNS call
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    fix call := ledger_further_row(p_first, 'late_settle', p_at);
BEGIN
    fix.balance_ids := ledger_counting(p_first);
    fix.cost_pico := p_ending.cost_pico - p_first.cost_pico;
    fix.tokens := p_ending.tokens - p_first.tokens;
    fix.counted := (p_ending.status <> 'voided')::int - p_first.counted;
    fix.basis := coalesce(p_ending.basis, 'none');
    fix.input_tokens := coalesce(p_ending.input_tokens, 0);
    fix.cache_read_tokens := coalesce(p_ending.cache_read_tokens, 0);
    fix.cache_write_tokens := coalesce(p_ending.cache_write_tokens, 0);
    fix.cache_write_long_tokens := coalesce(p_ending.cache_write_long_tokens, 0);
    fix.output_tokens := coalesce(p_ending.output_tokens, 0);
    fix.reasoning_tokens := coalesce(p_ending.reasoning_tokens, 0);
    fix.served_model := coalesce(p_ending.served_model, '');
    fix.http_status := p_ending.http_status;
    fix.first_byte_ms := p_ending.first_byte_ms;
    fix.duration_ms := p_ending.duration_ms;
    fix.tool_call_count := coalesce(p_ending.tool_call_count, 0);
    fix.failed := coalesce(p_ending.failed, false);
    fix.provider_request_id := coalesce(p_ending.provider_request_id, '');
    fix.pricing := p_ending.pricing;
    fix.facts := coalesce(p_ending.facts, '{}') || jsonb_build_object('ending', p_ending.status);
    INSERT INTO call SELECT fix.*;
    RETURN fix;
END $$;
