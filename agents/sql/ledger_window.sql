-- The calendar window of a budget at an instant, in the organisation's zone (rule 10). agents.windows says the same.
-- A rolling budget has one balance without an end, its anchor; what counts of it is in its hours (ledger_rolling).
-- Where a local midnight happens twice or not at all, PostgreSQL takes the later instant; so an instant may lie
-- before the midnight of its own local day, and then belongs to the day before.
CREATE FUNCTION ledger_window(p_window text, p_zone text, p_at timestamptz,
                              OUT window_start timestamptz, OUT window_end timestamptz)
    LANGUAGE plpgsql STABLE AS $$
DECLARE
    unit text := p_window;
    step interval;
    first_local timestamp;
BEGIN
    IF p_window IN ('total', 'session', 'rolling_24h') THEN
        window_start := to_timestamp(0);
        RETURN;
    ELSIF p_window NOT IN ('day', 'week', 'month') THEN
        RAISE EXCEPTION 'there are no budgets per %', p_window USING ERRCODE = '0A000';
    END IF;
    step := ('1 ' || unit)::interval;
    first_local := date_trunc(unit, p_at AT TIME ZONE p_zone);
    IF first_local AT TIME ZONE p_zone > p_at THEN
        first_local := first_local - step;
    ELSIF (first_local + step) AT TIME ZONE p_zone <= p_at THEN
        first_local := first_local + step;
    END IF;
    window_start := first_local AT TIME ZONE p_zone;
    window_end := (first_local + step) AT TIME ZONE p_zone;
END $$;
