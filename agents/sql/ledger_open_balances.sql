-- First use (rule 3): finds or makes the balance of each (budget, subject, practice) for the window at p_at.
-- The client calls it in a transaction of its own before a flush. Creators of one budget queue at its row, in id
-- order, so that they neither deadlock nor open two overlapping windows after a change of zone.
-- A balance that may have a past (its budget is younger than its window, or its session was purged) is seeded.
-- An answer without an id: that budget has had too many new subjects within the hour (rule 13).
CREATE FUNCTION ledger_open_balances(p_budgets bigint[], p_subjects text[], p_practice boolean[],
                                     p_new_subjects_max integer DEFAULT 10000, p_at timestamptz DEFAULT NULL)
    RETURNS TABLE (place bigint, balance_id bigint, window_start timestamptz, window_end timestamptz)
    LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
    t timestamptz := coalesce(p_at, ledger_clock());
    wanted record;
    span record;
    begins timestamptz;
    opened bigint;
BEGIN
    PERFORM ledger_assert_read_committed();
    PERFORM 1 FROM budget WHERE id = ANY (p_budgets) ORDER BY id FOR NO KEY UPDATE;
    FOR wanted IN
        SELECT w.*, b."window", b.created_at, o.time_zone, l.window_end AS last_end
        FROM unnest(p_budgets, p_subjects, p_practice) AS w(budget, subject, practice)
        JOIN budget b ON b.id = w.budget
        JOIN organization o ON o.id = b.organization_id
        LEFT JOIN LATERAL (
            SELECT l.window_end FROM balance l
            WHERE l.budget_id = w.budget AND l.subject = w.subject AND l.practice = w.practice AND l.window_start <= t
            ORDER BY l.window_start DESC LIMIT 1) l ON true
        WHERE NOT EXISTS (
            SELECT 1 FROM balance l
            WHERE l.budget_id = w.budget AND l.subject = w.subject AND l.practice = w.practice
              AND l.window_start <= t AND (l.window_end IS NULL OR t < l.window_end))
        ORDER BY w.budget, w.subject, w.practice
    LOOP
        CONTINUE WHEN wanted.subject <> '' AND p_new_subjects_max <= (
            SELECT count(*) FROM balance l
            WHERE l.budget_id = wanted.budget AND l.subject <> '' AND l.opened_at > t - interval '1 hour');
        span := ledger_window(wanted."window", wanted.time_zone, t);
        -- After a change of zone the old window runs to its end, and the new one begins there.
        begins := greatest(span.window_start, wanted.last_end);
        INSERT INTO balance (budget_id, subject, practice, window_start, window_end, spent, held, seeded, opened_at)
        VALUES (wanted.budget, wanted.subject, wanted.practice, begins, span.window_end, 0, 0, 0, t)
        ON CONFLICT DO NOTHING RETURNING id INTO opened;
        -- A day's margin, because the budget was dated by another machine's clock.
        IF opened IS NOT NULL AND begins < wanted.created_at + interval '1 day' THEN
            PERFORM ledger_seed(opened);
        END IF;
    END LOOP;
    RETURN QUERY
        SELECT w.place, l.id, l.window_start, l.window_end
        FROM unnest(p_budgets, p_subjects, p_practice) WITH ORDINALITY AS w(budget, subject, practice, place)
        LEFT JOIN balance l ON l.budget_id = w.budget AND l.subject = w.subject AND l.practice = w.practice
            AND l.window_start <= t AND (l.window_end IS NULL OR t < l.window_end)
        ORDER BY w.place;
END $$;
