-- What a rolling budget has spent within 24 hours, and when the oldest of it leaves. Buckets are hours of reserving;
-- the oldest counts whole until its last minute is 24 hours old: room returns never earlier than it should (rule 11).
-- The caller holds the balance, which is the budget's one anchor for its subject.
CREATE FUNCTION ledger_rolling(p_balance bigint, p_at timestamptz, OUT spent bigint, OUT room_at timestamptz)
    LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(b.spent), 0)::bigint, min(b.bucket_start) FILTER (WHERE b.spent > 0) + interval '25 hours'
    FROM balance_bucket b WHERE b.balance_id = p_balance AND b.bucket_start > p_at - interval '25 hours'
$$;
