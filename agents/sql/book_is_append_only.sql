-- The book is never edited: a mistake is put right by a further row (seq 1 and on).
CREATE FUNCTION book_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the book is append-only: % of call % refused', TG_OP, OLD.call_id USING ERRCODE = '23001';
END $$;

CREATE TRIGGER call_is_append_only BEFORE UPDATE OR DELETE ON call
    FOR EACH ROW EXECUTE FUNCTION book_is_append_only();
