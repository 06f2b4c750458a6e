-- Rows of calls that held nothing, refused or answered from the cache, in a statement of their own so that no balance is
-- held meanwhile (rule 14).
CREATE FUNCTION ledger_record_refusals(p_rows json) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    WITH put AS (
        INSERT INTO call (call_id, organization_id, agent_id, reserved_at, ended_at, key_id, held_pico, tokens, counted,
                          repeat_count, body_fingerprint, last_message_fingerprint, system_bytes, duration_ms,
                          http_status, status, practice, streamed, provider, endpoint, model, session, user_subject,
                          sub_agent, reason, price_version, facts, tags)
        SELECT call_id, organization_id, agent_id, ledger_clock(), ledger_clock(), key_id, held_pico,
               0, 0, repeat_count, coalesce(body_fingerprint, 0), coalesce(last_message_fingerprint, 0),
               coalesce(system_bytes, 0), duration_ms, http_status,
               CASE WHEN status = 'cached' THEN 'cached' ELSE 'refused' END, practice, coalesce(streamed, false),
               coalesce(provider, ''), coalesce(endpoint, ''), coalesce(model, ''), coalesce(session, ''),
               coalesce(user_subject, ''), coalesce(sub_agent, ''), coalesce(reason, ''), coalesce(price_version, ''),
               facts, tags
        FROM json_populate_recordset(NULL::call, p_rows)
        ON CONFLICT DO NOTHING RETURNING 1)
    SELECT count(*) FROM put
$$;
