"""The book's days: partitions are made ahead of time, by every ledger and by a task."""

DAYS_BACK = 2
DAYS_AHEAD = 7
ENSURE = "SELECT ensure_partitions(%s, %s)"


def ensure(days_back: int = DAYS_BACK, days_ahead: int = DAYS_AHEAD) -> int:
    """Make the partitions that are missing around today and return how many they were."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(ENSURE, [days_back, days_ahead])
        made = cursor.fetchone()
    assert made is not None, "the function answers a number"
    return int(made[0])
