"""Balances of subjects that nobody needs any more go, some at a time (rule 13)."""

BATCH = 1_000
BATCHES_MAX = 100  # of one run; the next goes on
PURGE = "SELECT ledger_purge(%s)"


def purge() -> int:
    """Forget ended windows, resting sessions and quiet users; returns how many balances went."""
    from django.db import connection

    gone = 0
    for _ in range(BATCHES_MAX):
        with connection.cursor() as cursor:
            cursor.execute(PURGE, [BATCH])
            (count,) = cursor.fetchone()
        gone += count
        if count < BATCH:
            break
    return gone
