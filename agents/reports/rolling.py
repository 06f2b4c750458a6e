"""What rolling budgets have spent within their 24 hours: their balances hold the sum of all times."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

# Hours count whole: what one has spent counts until its last minute is a day old.
COUNTED = timedelta(hours=25)
_ROLLING = """
SELECT b.id, r.spent, r.room_at FROM unnest(%s::bigint[]) AS b(id) CROSS JOIN LATERAL ledger_rolling(b.id, %s) AS r
"""


@dataclass(frozen=True, slots=True)
class Rolling:
    """spent: in the budget's unit; room_at: when the oldest hour of it leaves, None where nothing is spent."""

    spent: int
    room_at: datetime | None


def rolling(balance_ids: Sequence[int], at: datetime) -> dict[int, Rolling]:
    """Return what each of these balances counts at that moment, as the ledger sums it."""
    if not balance_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_ROLLING, [list(balance_ids), at])
        return {balance_id: Rolling(spent, room_at) for balance_id, spent, room_at in cursor.fetchall()}
