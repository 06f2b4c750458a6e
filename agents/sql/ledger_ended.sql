-- Those of the ids (ascending) that the book has ended. ledger_narrow replaces it by one that locks fewer days.
CREATE FUNCTION ledger_ended(p_ids uuid[]) RETURNS uuid[] LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN ARRAY(SELECT call_id FROM call WHERE call_id = ANY (p_ids) AND seq = 0
                 AND call_id BETWEEN p_ids[1] AND p_ids[cardinality(p_ids)]);
END $$;
