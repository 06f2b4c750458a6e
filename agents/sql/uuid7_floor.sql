-- The smallest UUIDv7 of a millisecond, for bounds of partitions and look-ups.
CREATE FUNCTION uuid7_floor(p_at timestamptz) RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM p_at) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
