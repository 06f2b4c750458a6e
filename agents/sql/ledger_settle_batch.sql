-- Ends reservations that are open: out of reservation, into the book, and answers what their balances move by.
-- The caller holds all their balances. Ids whose reservation is gone are left to ledger_settle_late.
CREATE FUNCTION ledger_settle_batch(p_endings json, p_at timestamptz, OUT ended uuid[], OUT deltas ledger_delta[])
    LANGUAGE sql VOLATILE AS $$
    WITH gone AS (
        DELETE FROM reservation r USING json_populate_recordset(NULL::ledger_ending, p_endings) AS s
        WHERE r.call_id = s.call_id
        RETURNING r.organization_id, r.agent_id, r.reserved_at, r.practice, r.usd_pico AS held_pico,
                  r.tokens AS held_tokens, r.balance_ids, s.*, (s.status <> 'voided')::int::smallint AS counted
    ), booked AS (
        INSERT INTO call (
            call_id, organization_id, agent_id, reserved_at, ended_at, key_id, cost_pico, held_pico, tokens, counted,
            body_fingerprint, last_message_fingerprint, input_tokens, cache_read_tokens, cache_write_tokens,
            cache_write_long_tokens, output_tokens, reasoning_tokens, system_bytes, first_byte_ms, duration_ms,
            tool_call_count, http_status, practice, streamed, failed, status, basis, provider, endpoint, model,
            served_model, session, user_subject, sub_agent, reason, price_version, provider_request_id, balance_ids,
            pricing, facts, tags)
        SELECT
            call_id, organization_id, agent_id, reserved_at, p_at, key_id, coalesce(cost_pico, 0), held_pico,
            coalesce(tokens, 0), counted, coalesce(body_fingerprint, 0), coalesce(last_message_fingerprint, 0),
            coalesce(input_tokens, 0), coalesce(cache_read_tokens, 0), coalesce(cache_write_tokens, 0),
            coalesce(cache_write_long_tokens, 0), coalesce(output_tokens, 0), coalesce(reasoning_tokens, 0),
            coalesce(system_bytes, 0), first_byte_ms, duration_ms, coalesce(tool_call_count, 0), http_status, practice,
            coalesce(streamed, false), coalesce(failed, false), status, coalesce(basis, 'none'),
            coalesce(provider, ''), coalesce(endpoint, ''), coalesce(model, ''), coalesce(served_model, ''),
            coalesce(session, ''), coalesce(user_subject, ''), coalesce(sub_agent, ''), coalesce(reason, ''),
            coalesce(price_version, ''), coalesce(provider_request_id, ''), balance_ids, pricing, facts, tags
        FROM gone
    ), sums AS (
        SELECT balance_ids, sum(held_pico) AS held_usd, sum(held_tokens) AS held_tokens, count(*) AS held_calls,
               sum(coalesce(cost_pico, 0)) AS usd, sum(coalesce(tokens, 0)) AS tokens, sum(counted) AS calls
        FROM gone GROUP BY balance_ids
    )
    SELECT (SELECT array_agg(call_id) FROM gone),
           (SELECT array_agg(ROW(b, -held_usd, -held_tokens, -held_calls, usd, tokens, calls)::ledger_delta)
            FROM sums, unnest(balance_ids) AS b)
$$;
