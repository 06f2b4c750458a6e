"""What the audit remembers stands for rows that need not be read again, and never hides a difference."""

from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from agents import pricing, rollups
from agents.audit import audit
from agents.audit.remembering import MARGIN
from agents.ledger import CallEnd, CallStart, Ledger
from agents.models import AuditedBalance, AuditedDay, AuditedHour, PriceBookVersion
from agents.pricebook import BOOK_PATH, PriceBook
from agents.pricing.dated import dated_row
from tests.agents.audit_house import DAY, a_day_of_work, add_row, broken, clock, old_call, remember, report, tamper
from tests.agents.ledger_house import USD, House

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


async def settled(house: House, ledger: Ledger, cost_pico: int = 7, **fields: Any) -> Any:
    ask = house.ask(USD // 100, **fields)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=cost_pico, tokens=3))
    return ask


async def test_a_row_is_read_once(house: House, ledger: Ledger) -> None:
    await a_day_of_work(house, ledger)
    [(row_count,)] = house.sql("SELECT count(*) FROM call")
    first = await remember(house)
    assert (first.read_count, first.remembered_count) == (0, row_count)
    await settled(house, ledger, cost_pico=USD)  # an overrun
    for found in (await remember(house), await report(), await report(full=True)):
        assert (found.read_count, found.remembered_count, found.ok) == (0, row_count + 1, True)


async def test_what_has_just_ended_is_read_and_not_remembered(house: House, ledger: Ledger) -> None:
    """Rows carry a time at which nobody could see them yet."""
    await a_day_of_work(house, ledger)
    found = await report()
    assert (found.read_count, found.remembered_count) == (house.sql("SELECT count(*) FROM call")[0][0], 0)
    assert house.sql("SELECT count(*) FROM audited_day") == [(0,)]


async def test_every_count_is_the_same_whether_rows_were_read_or_remembered(house: House, ledger: Ledger) -> None:
    await a_day_of_work(house, ledger)
    over = house.ask(USD)
    await ledger.reserve(over)
    await ledger.settle(over.call_id, CallEnd(cost_pico=USD + 11))
    read, remembered = await report(), await remember(house)
    assert [check.examined_count for check in read.checks if check.name != "book"] == [
        check.examined_count for check in remembered.checks if check.name != "book"
    ]
    assert (remembered.overrun_pico, remembered.overrun_count) == (read.overrun_pico, read.overrun_count) == (11, 1)


async def test_a_late_settle_of_a_remembered_call_is_read_alone(house: House, ledger: Ledger) -> None:
    late = house.ask(USD)
    await ledger.reserve(late)
    house.sql("UPDATE reservation SET deadline_at = now()")
    house.sql("UPDATE owner_lease SET expires_at = now()")
    await ledger.upkeep.reap(is_cautious=False)
    assert (await remember(house)).remembered_count == 1
    assert await ledger.settle(late.call_id, CallEnd(cost_pico=5, tokens=1)) == "corrected"
    found = await report()
    assert (found.read_count, found.remembered_count, found.ok) == (1, 1, True)
    assert (await remember(house)).remembered_count == 2
    assert (await report(full=True)).ok


def test_a_row_that_comes_in_with_an_old_time_lets_its_day_be_read_again(house: House) -> None:
    """The demonstration writes a month at once."""
    at = clock(house) - 5 * DAY
    old_call(house, at)
    assert (audit(at=clock(house) + MARGIN)).remembered_count == 1
    old_call(house, at - HOUR, cost_pico=9)
    found = audit()
    assert (found.read_count, found.remembered_count, found.ok) == (0, 2, True)
    assert AuditedDay.objects.get(row_count__gt=0).row_count == 2


def test_days_are_remembered_in_pieces_and_add_up(house: House) -> None:
    midnight = (clock(house) - 4 * DAY).replace(hour=0, minute=0, second=1, microsecond=0)
    for hours in (0, 1, 2, 5, 9, 23):
        old_call(house, midnight + hours * HOUR, cost_pico=hours + 1)
    found = audit()
    assert (found.read_count, found.remembered_count, found.ok) == (0, 6, True)
    assert {row.usd_pico for row in AuditedBalance.objects.filter(day=midnight.date())} == {46}
    assert AuditedHour.objects.filter(day=midnight.date()).count() == 6
    assert (audit(full=True)).ok


@pytest.mark.parametrize(
    ("column", "value"),
    [("cost_pico", "8"), ("model", "'gpt-5'"), ("input_tokens", "1"), ("ended_at", "ended_at - interval '1 s'")],
)
def test_an_edited_row_is_found_by_reading_everything_again(house: House, column: str, value: str) -> None:
    row = old_call(house, clock(house) - 5 * DAY)
    assert (audit()).remembered_count == 1
    tamper(house, f"UPDATE call SET {column} = {value} WHERE call_id = %s", row["call_id"])
    assert (audit()).ok
    found = audit(full=True)
    day = row["reserved_at"][:10]
    assert f"{day}: a row is not what it was when it was read" in broken(found)["book"]
    # The edited row is believed from here on: the balances say otherwise where its cost was edited.
    assert ("spent" in broken(found)) == (column == "cost_pico")
    if column == "cost_pico":
        assert any("-1 pico" in line or "+1 pico" in line for line in broken(found)["book"])
    assert not (audit(full=True)).ok


def test_an_edited_row_that_was_accepted_is_not_told_again(house: House) -> None:
    row = old_call(house, clock(house) - 5 * DAY)
    assert (audit()).ok
    tamper(house, "UPDATE call SET model = 'gpt-5' WHERE call_id = %s", row["call_id"])
    assert not (audit(full=True, accept=True)).ok
    found = audit(full=True)
    assert (found.ok, found.remembered_count) == (True, 1)


def test_a_row_that_is_gone_is_told_by_every_run_until_it_is_accepted(house: House) -> None:
    at = clock(house) - 5 * DAY
    old_call(house, at)
    gone = old_call(house, at + HOUR, cost_pico=0)
    assert (audit()).remembered_count == 2
    tamper(house, "DELETE FROM call WHERE call_id = %s", gone["call_id"])
    for options in ({}, {}, {"full": True}, {"full": True, "accept": True}):
        [line] = broken(audit(**options))["book"]
        assert line.endswith("1 rows that were read before are gone")
    assert (audit()).ok


def test_sums_that_were_edited_are_found_by_reading_everything_again(house: House) -> None:
    """A difference in a balance cannot be covered up in what the audit remembers."""
    old_call(house, clock(house) - 5 * DAY)
    assert (audit()).ok
    house.sql("UPDATE audited_balance SET usd_pico = usd_pico + 1")
    house.sql("UPDATE balance SET spent = spent + 1")
    assert (audit()).ok
    found = audit(full=True)
    assert {"book", "spent"} <= set(broken(found))
    assert house.organization.pk in {difference.organization_id for difference in found.differences()}


def test_a_row_that_is_not_sound_is_told_by_every_run(house: House) -> None:
    at = clock(house) - 5 * DAY
    row = old_call(house, at)
    add_row(house, row | {"call_id": row["call_id"][:-4] + "0000", "status": "voided", "cost_pico": 0})
    for _ in range(2):
        found = audit()
        assert set(broken(found)) == {"endings"}
        assert found.read_count == 2


def test_sums_outlive_rows_that_were_dropped(house: House) -> None:
    """H5: retention drops whole days; a total that began before is still right."""
    at = clock(house) - 20 * DAY
    old_call(house, at)
    assert (audit()).remembered_count == 1
    house.sql(f"DROP TABLE call_{at:%Y%m%d}")
    found = audit()
    assert (found.ok, found.gone_day_count >= 1, found.remembered_count) == (True, True, 1)
    house.sql("UPDATE balance SET spent = spent + 1")
    assert "spent" in broken(audit())
    house.sql("DELETE FROM balance")
    audit()
    assert not AuditedBalance.objects.exists()


@pytest.mark.parametrize("table", ["hourly_usage", "daily_usage"])
def test_sums_of_remembered_days_are_compared_in_every_run(house: House, table: str) -> None:
    old_call(house, clock(house) - 5 * DAY)
    rollups.roll_up(clock(house) + HOUR)
    found = audit()
    assert (broken(found), found.remembered_count) == ({}, 1)
    assert all(check.examined_count == 1 for check in found.checks if check.name in ("hours", "days"))
    house.sql(f"UPDATE {table} SET call_count = call_count + 1, failed_count = failed_count - 1")
    found = audit()
    assert {"days"} <= set(broken(found)) <= {"hours", "days"}
    assert ("hours" in broken(found)) == (table == "hourly_usage")


def test_two_wrong_sums_of_an_hour_do_not_make_up_for_each_other(house: House) -> None:
    at = clock(house) - 5 * DAY
    old_call(house, at)
    old_call(house, at, model="gpt-4o-mini")
    rollups.roll_up(clock(house) + HOUR)
    assert (audit()).ok
    house.sql("UPDATE hourly_usage SET cost_pico = cost_pico + CASE model WHEN 'gpt-4o' THEN 1 ELSE -1 END")
    lines = broken(audit())["hours"]
    assert [line.split(": ")[-1] for line in lines] == ["cost_pico 8, book 7", "cost_pico 6, book 7"]


def test_a_sum_of_calls_that_never_were_is_found(house: House) -> None:
    old_call(house, clock(house) - 5 * DAY)
    rollups.roll_up(clock(house) + HOUR)
    columns = house.sql("SELECT string_agg(column_name, ', ') FROM information_schema.columns"
                        " WHERE table_name = 'hourly_usage' AND column_name NOT IN ('id', 'hour')")[0][0]  # fmt: skip
    house.sql(
        f"INSERT INTO hourly_usage (hour, {columns}) SELECT hour - interval '3 hours', {columns} FROM hourly_usage"
    )
    assert any(line.endswith("cost_pico 7, book 0") for line in broken(audit())["hours"])


@pytest.mark.parametrize("is_bent", [False, True])
def test_days_of_zones_whose_midnight_cuts_an_hour_are_compared(house: House, is_bent: bool) -> None:
    """India's day begins at 18:30 UTC and Nepal's at 18:15: parts of the same hour, of different length."""
    other = House()
    house.sql("UPDATE organization SET time_zone = 'Asia/Kolkata' WHERE id = %s", house.organization.pk)
    house.sql("UPDATE organization SET time_zone = 'Asia/Kathmandu' WHERE id = %s", other.organization.pk)
    evening = (clock(house) - 5 * DAY).replace(hour=18, minute=0, second=0, microsecond=0)
    for minutes, cost_pico in ((10, 3 * USD), (20, 5 * USD), (40, USD - 1)):
        for one in (house, other):
            old_call(one, evening + timedelta(minutes=minutes), cost_pico=cost_pico)
    other.connection.close()
    rollups.roll_up(clock(house) + HOUR)
    if not is_bent:
        found = audit()
        assert (broken(found), [c.examined_count for c in found.checks if c.name == "days"]) == ({}, [4])
        return
    house.sql("UPDATE daily_usage SET cost_pico = cost_pico + 1 WHERE organization_id = %s", house.organization.pk)
    found = audit()
    assert {difference.organization_id for difference in found.differences()} == {house.organization.pk}
    assert len(broken(found)["days"]) == 2


def test_a_lost_price_version_is_told_though_its_calls_were_read_before(house: House) -> None:
    content = BOOK_PATH.read_text() + " "
    version = sha256(content.encode()).hexdigest()[:12]
    book = PriceBook((dated_row(row) for row in _rows(content)), version=version)
    PriceBookVersion.objects.create(version=version, content=content)
    row = book.row("openai", "gpt-4o-mini", clock(house))
    cost_pico = pricing.cost_pico(row, pricing.Usage(input=100), pricing.Circumstances())
    old_call(
        house, clock(house) - 5 * DAY, cost_pico=cost_pico, model="gpt-4o-mini", input_tokens=100,
        price_version=version, pricing={"row": row.row_id},
    )  # fmt: skip
    found = audit()
    assert (broken(found), found.remembered_count) == ({}, 1)
    house.sql("UPDATE price_book_version SET content = replace(content, '0.15', '0.16')")
    assert "not what it was" in broken(audit())["prices"][0]
    house.sql("DELETE FROM price_book_version")
    assert "not kept" in broken(audit())["prices"][0]


def _rows(content: str) -> Any:
    import orjson

    return orjson.loads(content)["rows"]


async def test_calls_that_run_while_days_are_remembered_are_neither_lost_nor_counted_twice(
    house: House, ledger: Ledger
) -> None:
    start = CallStart(provider="openai", model="gpt-4o")
    for number in range(12):
        await settled(house, ledger, cost_pico=number, start=start)
        assert broken(await remember(house)) == {}
    assert broken(await report(full=True)) == {}
    assert (await report()).remembered_count == 12
