-- The book's row for a reservation that ends without its process: what is known is its beginning.
CREATE FUNCTION ledger_row_of(p_hold reservation, p_status text, p_at timestamptz, p_reason text) RETURNS call
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    b ledger_ending := jsonb_populate_record(NULL::ledger_ending, p_hold.start);
    row_ call;
BEGIN
    row_.call_id := p_hold.call_id;
    row_.seq := 0;
    row_.organization_id := p_hold.organization_id;
    row_.agent_id := p_hold.agent_id;
    row_.reserved_at := p_hold.reserved_at;
    row_.ended_at := p_at;
    row_.practice := p_hold.practice;
    row_.held_pico := p_hold.usd_pico;
    row_.balance_ids := p_hold.balance_ids;
    row_.status := p_status;
    row_.reason := p_reason;
    row_.cost_pico := CASE p_status WHEN 'expired' THEN p_hold.usd_pico ELSE 0 END;
    row_.tokens := CASE p_status WHEN 'expired' THEN p_hold.tokens ELSE 0 END;
    row_.counted := (p_status = 'expired')::int;
    row_.basis := CASE p_status WHEN 'expired' THEN 'worst_case' ELSE 'none' END;
    row_.key_id := b.key_id;
    row_.provider := coalesce(b.provider, '');
    row_.endpoint := coalesce(b.endpoint, '');
    row_.model := coalesce(b.model, '');
    row_.served_model := '';
    row_.streamed := coalesce(b.streamed, false);
    row_.failed := true;
    row_.session := coalesce(b.session, '');
    row_.user_subject := coalesce(b.user_subject, '');
    row_.sub_agent := coalesce(b.sub_agent, '');
    row_.price_version := coalesce(b.price_version, '');
    row_.provider_request_id := '';
    row_.system_bytes := coalesce(b.system_bytes, 0);
    row_.body_fingerprint := coalesce(b.body_fingerprint, 0);
    row_.last_message_fingerprint := coalesce(b.last_message_fingerprint, 0);
    row_.tags := b.tags;
    row_.input_tokens := 0;
    row_.cache_read_tokens := 0;
    row_.cache_write_tokens := 0;
    row_.cache_write_long_tokens := 0;
    row_.output_tokens := 0;
    row_.reasoning_tokens := 0;
    row_.repeat_count := 1;
    row_.tool_call_count := 0;
    RETURN row_;
END $$;
