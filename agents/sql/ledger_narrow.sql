-- Lets the flush's look into the book lock the days around this one alone. A plan that is made once locks every day of
-- the book, whatever the ids are: with a year of days that is a third of what a reserve costs. So the bounds stand in
-- the function's text, where the planner sees them; ids beyond them are looked up as ever, so an old text is slow at
-- worst, never wrong.
CREATE FUNCTION ledger_narrow(p_today date) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    first_id uuid := uuid7_floor((p_today - 1)::timestamp AT TIME ZONE 'UTC');
    last_id uuid := uuid7_floor((p_today + 3)::timestamp AT TIME ZONE 'UTC');
BEGIN
    IF EXISTS (SELECT FROM pg_proc WHERE oid = 'ledger_ended(uuid[])'::regprocedure
               AND prosrc LIKE format('%%%s%%', first_id)) THEN
        RETURN;
    END IF;
    EXECUTE format($text$
        CREATE OR REPLACE FUNCTION ledger_ended(p_ids uuid[]) RETURNS uuid[] LANGUAGE plpgsql VOLATILE AS $body$
        BEGIN
            IF p_ids[1] >= %1$L AND p_ids[cardinality(p_ids)] < %2$L THEN
                RETURN ARRAY(SELECT call_id FROM call WHERE call_id = ANY (p_ids) AND seq = 0
                             AND call_id >= %1$L AND call_id < %2$L);
            END IF;
            RETURN ARRAY(SELECT call_id FROM call WHERE call_id = ANY (p_ids) AND seq = 0
                         AND call_id BETWEEN p_ids[1] AND p_ids[cardinality(p_ids)]);
        END $body$ $text$, first_id, last_id);
END $$;
