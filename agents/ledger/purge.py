"""What nobody needs any more goes, some at a time: balances of quiet subjects (rule 13), notes of expired answers."""

BATCH = 1_000
BATCHES_MAX = 100  # of one run; the next goes on
PURGE = "SELECT ledger_purge(%s)"
PURGE_RESPONSES = """
WITH gone AS (
    DELETE FROM stored_response WHERE id IN (
        SELECT id FROM stored_response WHERE expires_at <= ledger_clock() ORDER BY expires_at LIMIT %s)
    RETURNING 1)
SELECT count(*) FROM gone
"""


def purge() -> int:
    """Forget ended windows, resting sessions and quiet users; returns how many balances went."""
    return _purge(PURGE)


def purge_responses() -> int:
    """Forget answers that their providers keep no more; returns how many went."""
    return _purge(PURGE_RESPONSES)


def _purge(statement: str) -> int:
    from django.db import connection

    gone = 0
    for _ in range(BATCHES_MAX):
        with connection.cursor() as cursor:
            cursor.execute(statement, [BATCH])
            (count,) = cursor.fetchone()
        gone += count
        if count < BATCH:
            break
    return gone
