"""What the book has ended is found whatever its day, and the look for it locks few of the book's days."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from accounts.ids import uuid7
from tests.agents.ledger_house import House

pytestmark = pytest.mark.django_db(transaction=True)

DAYS = (-2, -1, 0, 1, 2, 3, 7)
NARROW_DAYS = 4  # yesterday, today and two more
LOCKED = """
SELECT count(*) FROM pg_locks l JOIN pg_inherits i ON i.inhrelid = l.relation
WHERE l.pid = pg_backend_pid() AND i.inhparent = 'call'::regclass
"""


def _id(days: float) -> UUID:
    return uuid7(int((datetime.now(UTC) + timedelta(days=days)).timestamp() * 1000))


def _end(house: House, days: float) -> UUID:
    """Put an ended call into the book whose id is so many days off."""
    ended = _id(days)
    bury = "SELECT ledger_bury(%s, %s, %s, gen_random_uuid(), false, 1, '{}')"
    house.sql(bury, ended, house.organization.pk, house.agent.pk)
    return ended


@pytest.mark.parametrize("looked_from", [-30, -2, 0, 1, 30])
def test_what_has_ended_is_found_from_whatever_day_one_looks(house: House, looked_from: int) -> None:
    house.sql("SELECT ensure_partitions(2, 7)")
    ended = sorted(_end(house, days) for days in DAYS)
    house.sql("SELECT ledger_narrow((now() AT TIME ZONE 'UTC')::date + %s::integer)", looked_from)
    alive = [_id(days) for days in DAYS]
    for chosen in ([], alive, ended, *([one] for one in ended), ended[1:3], ended[4:]):
        [(found,)] = house.sql("SELECT ledger_ended(%s::uuid[])", sorted({*chosen, *alive}))
        assert sorted(found) == [one for one in chosen if one in ended]


def test_the_look_into_the_book_locks_the_days_around_this_one_alone(house: House) -> None:
    house.sql("SELECT ensure_partitions(20, 7)")
    house.sql("SET plan_cache_mode = force_generic_plan")
    with house.connection.transaction():
        house.sql("SELECT ledger_ended(%s::uuid[])", [_id(0), _id(0.001)])
        assert house.sql(LOCKED) == [(NARROW_DAYS,)]


def test_the_look_into_the_book_is_made_anew_once_a_day(house: House) -> None:
    def version() -> str:
        [(made_by,)] = house.sql("SELECT xmin::text FROM pg_proc WHERE oid = 'ledger_ended(uuid[])'::regprocedure")
        return str(made_by)

    house.sql("SELECT ensure_partitions(2, 7)")
    before = version()
    house.sql("SELECT ensure_partitions(2, 7)")
    assert version() == before
    house.sql("SELECT ledger_narrow((now() AT TIME ZONE 'UTC')::date + 1)")
    assert version() != before
