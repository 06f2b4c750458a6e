"""The ledger's SQL functions: one file each, loaded whole by each migration that changes one."""

from pathlib import Path

from django.db.migrations.operations import RunSQL

SQL = Path(__file__).resolve().parent

# In the order in which they need each other.
NAMES = (
    "uuid7_floor",
    "ledger_clock",
    "ledger_ended",
    "ledger_narrow",
    "ensure_partitions",
    "ledger_window",
    "ledger_assert",
    "ledger_amount",
    "ledger_concerns",
    "ledger_rolling",
    "ledger_roll",
    "ledger_siblings",
    "ledger_charged",
    "ledger_seed",
    "ledger_open_balances",
    "ledger_lock",
    "ledger_counting",
    "ledger_balances_of",
    "ledger_row_of",
    "ledger_further_row",
    "ledger_correct",
    "ledger_keep_conflict",
    "ledger_settle_batch",
    "ledger_settle_late",
    "ledger_seat",
    "ledger_is_current",
    "ledger_doubts",
    "ledger_codes_of_known",
    "ledger_admit_in_order",
    "ledger_hold",
    "ledger_move",
    "ledger_flush",
    "ledger_bury",
    "ledger_doomed",
    "ledger_expire",
    "ledger_amend",
    "ledger_record_usage",
    "ledger_reset_session",
    "ledger_record_refusals",
    "ledger_stand_still",
    "ledger_purge",
)

# Signatures change, so whatever there is of them goes first; all of it is one transaction.
_DROP = """
DO $$
DECLARE
    old regprocedure;
BEGIN
    FOR old IN SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
               WHERE n.nspname = current_schema() AND (p.proname LIKE 'ledger\\_%' OR p.proname IN
                     ('uuid7_floor', 'ensure_partitions')) LOOP
        EXECUTE 'DROP FUNCTION IF EXISTS ' || old || ' CASCADE';
    END LOOP;
END $$
"""


def load_functions() -> list[RunSQL]:
    """The operations of a migration that puts the functions of agents/sql in place, as they are now."""
    files = [(SQL / f"{name}.sql").read_text() for name in NAMES]
    return [RunSQL(_DROP, RunSQL.noop), *(RunSQL(text, RunSQL.noop) for text in files)]
