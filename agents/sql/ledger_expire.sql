-- Charges the ceiling of holds that nobody will settle: deadline passed and owner gone, or absolutely too old, or the
-- owner known to be dead. One process at a time. p_cautious: PostgreSQL has just come back, so leases look expired
-- that are not; then a sweep that would take an implausible share stops, and the client alarms.
-- The order is the flush's: pick, lock, delete, book, update.
CREATE FUNCTION ledger_expire(p_cautious boolean, p_limit integer, p_late_max interval,
                              OUT expired uuid[], OUT suspicious bigint)
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t timestamptz := ledger_clock();
    doomed uuid[];
    locked bigint[];
    deltas ledger_delta[];
BEGIN
    PERFORM ledger_assert_read_committed();
    expired := '{}';
    suspicious := 0;
    IF NOT pg_try_advisory_xact_lock(hashtext('ledger_expire')) THEN
        RETURN;
    END IF;
    doomed := ledger_doomed(t, p_limit, p_late_max, true);
    IF p_cautious THEN
        suspicious := cardinality(doomed);
        IF suspicious <= greatest(10, (SELECT count(*) FROM reservation) / 5) THEN
            suspicious := 0;
        ELSE
            doomed := ledger_doomed(t, p_limit, p_late_max, false);
        END IF;
    END IF;
    IF cardinality(doomed) = 0 THEN
        RETURN;
    END IF;
    locked := ledger_balances_of(doomed);
    PERFORM ledger_lock(locked);
    WITH gone AS (
        DELETE FROM reservation r WHERE r.call_id = ANY (doomed) RETURNING r AS hold
    ), booked AS (
        INSERT INTO call SELECT c.* FROM gone g, LATERAL ledger_row_of(g.hold, 'expired', t, 'expired') AS c
    )
    SELECT array_agg(DISTINCT (hold).call_id),
           array_agg(ROW(b, -(hold).usd_pico, -(hold).tokens, -1, (hold).usd_pico, (hold).tokens, 1)::ledger_delta)
    INTO expired, deltas FROM gone, unnest((hold).balance_ids) AS b;
    IF deltas IS NOT NULL THEN
        PERFORM ledger_move(deltas, locked);
        PERFORM ledger_roll(expired, t);
    END IF;
    expired := coalesce(expired, '{}');
END $$;
