-- Makes the days of the book that are missing around today; days of UTC, by the clock inside the call's id.
-- Attached rather than created in place: that lock lets reads and writes of the book go on.
CREATE FUNCTION ensure_partitions(p_days_back integer, p_days_ahead integer) RETURNS integer
    LANGUAGE plpgsql AS $$
DECLARE
    today date := (ledger_clock() AT TIME ZONE 'UTC')::date;
    made integer := 0;
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('call partitions'));
    FOR n IN -p_days_back .. p_days_ahead LOOP
        name := 'call_' || to_char(today + n, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        EXECUTE format('CREATE TABLE %I (LIKE call INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
        EXECUTE format(
            'ALTER TABLE call ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name,
            uuid7_floor((today + n)::timestamp AT TIME ZONE 'UTC'),
            uuid7_floor((today + n + 1)::timestamp AT TIME ZONE 'UTC'));
        made := made + 1;
    END LOOP;
    PERFORM ledger_narrow(today);
    RETURN made;
END $$;
