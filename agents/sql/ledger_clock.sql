-- The ledger's only clock: the database's. In one place so that a test can live through a year of days.
CREATE FUNCTION ledger_clock() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';
