-- What Django's models cannot say about the ledger's tables.

-- Hot rows are rewritten in place: room on the page keeps updates off the indexes, and dead versions go early.
ALTER TABLE balance SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
                         autovacuum_vacuum_cost_delay = 0);
ALTER TABLE reservation SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                             autovacuum_vacuum_insert_threshold = -1, autovacuum_vacuum_cost_delay = 0,
                             autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);

-- Sums of one balance by unit; what a flush adds to it.
CREATE TYPE ledger_delta AS (
    balance_id bigint,
    held_usd bigint, held_tokens bigint, held_calls bigint,
    spent_usd bigint, spent_tokens bigint, spent_calls bigint
);

-- One ending as the client sends it: what becomes columns of call.
CREATE TYPE ledger_ending AS (
    call_id uuid, key_id bigint, cost_pico bigint, tokens bigint, body_fingerprint bigint,
    last_message_fingerprint bigint, input_tokens bigint, cache_read_tokens bigint, cache_write_tokens bigint,
    cache_write_long_tokens bigint, output_tokens bigint, reasoning_tokens bigint, system_bytes integer,
    first_byte_ms integer, duration_ms integer, tool_call_count smallint, http_status smallint, status text,
    basis text, streamed boolean, failed boolean, provider text, endpoint text, model text, served_model text,
    session text, user_subject text, sub_agent text, reason text, price_version text, provider_request_id text,
    pricing jsonb, facts jsonb, tags jsonb
);
