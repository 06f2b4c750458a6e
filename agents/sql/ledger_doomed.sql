-- Reservations to expire. A lease that ends at -infinity was given back, or its process was found dead.
CREATE FUNCTION ledger_doomed(p_at timestamptz, p_limit integer, p_late_max interval, p_presumed boolean)
    RETURNS uuid[] LANGUAGE sql STABLE AS $$
    SELECT ARRAY(
        SELECT r.call_id FROM reservation r LEFT JOIN owner_lease l ON l.owner = r.owner
        WHERE l.expires_at = '-infinity'
           OR (p_presumed AND r.deadline_at <= p_at AND (l.owner IS NULL OR l.expires_at <= p_at))
           OR (p_presumed AND r.deadline_at <= p_at - p_late_max)
        ORDER BY r.call_id LIMIT p_limit)
$$;
