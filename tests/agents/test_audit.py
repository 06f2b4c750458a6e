"""The audit is green on what the ledger wrote, and names the difference when anything is bent."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command

from accounts.ids import uuid7
from agents import pricing, rollups
from agents.audit import AuditReport, audit
from agents.ledger import BudgetRefused, CachedRow, CallEnd, CallStart, Ledger, RefusalRow
from agents.pricebook import current_book
from tests.agents.ledger_house import USD, House, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


async def a_day_of_work(house: House, ledger: Ledger) -> None:
    """Calls of every fate: settled, voided, refused, expired, corrected late, running, and practice."""
    await in_thread(house.new_budget, unit="tokens", window="month", limit=10**9)
    await in_thread(house.new_budget, unit="calls", window="total", limit=10**6)
    asks = [house.ask(USD // 10, practice=number == 5) for number in range(8)]
    await asyncio.gather(*map(ledger.reserve, asks))
    await asyncio.gather(*(ledger.settle(ask.call_id, CallEnd(cost_pico=7, tokens=3)) for ask in asks[:6]))
    await ledger.void(asks[6].call_id, CallEnd())
    late = [house.ask(USD // 10) for _ in range(2)]
    await asyncio.gather(*map(ledger.reserve, late))
    house.sql("UPDATE reservation SET deadline_at = now() WHERE call_id = ANY(%s)", [ask.call_id for ask in late])
    house.sql("UPDATE owner_lease SET expires_at = now()")
    await ledger.upkeep.reap(is_cautious=False)
    await ledger.settle(late[0].call_id, CallEnd(cost_pico=5, tokens=1))
    refused = house.ask(9 * USD)
    with pytest.raises(BudgetRefused):
        await ledger.reserve(refused)
    ledger.record_refusal(
        RefusalRow(
            call_id=refused.call_id,
            organization_id=refused.organization_id,
            agent_id=refused.agent_id,
            reason="call_too_expensive",
            http_status=429,
            asked_pico=9 * USD,
        )
    )
    cached = CachedRow(
        call_id=uuid7(),
        organization_id=refused.organization_id,
        agent_id=refused.agent_id,
        http_status=200,
        saved_pico=5,
    )
    ledger.record_cached(cached)
    await ledger.upkeep.write_refusals()


async def report() -> AuditReport:
    return await in_thread(audit)


def broken(found: AuditReport) -> dict[str, list[str]]:
    return {check.name: check.breaches for check in found.checks if check.breaches}


async def test_the_audit_is_green_after_calls_of_every_fate(house: House, ledger: Ledger) -> None:
    await a_day_of_work(house, ledger)
    found = await report()
    assert broken(found) == {}
    assert (found.running_count, found.held_pico, found.overrun_pico) == (1, USD // 10, 0)
    assert house.sql("SELECT status, count(*) FROM call GROUP BY 1 ORDER BY 1") == [
        ("cached", 1),
        ("corrected", 1),
        ("expired", 2),
        ("refused", 1),
        ("settled", 6),
        ("voided", 1),
    ]


@pytest.mark.parametrize(
    ("bend", "names"),
    [
        ("UPDATE balance SET held = held + 1 WHERE id = (SELECT max(id) FROM balance)", {"held"}),
        ("UPDATE balance SET spent = spent + 1 WHERE budget_id = {budget}", {"spent", "windows"}),
        ("DELETE FROM reservation", {"held"}),
        ("UPDATE reservation SET usd_pico = usd_pico - 1", {"held"}),
        (
            'INSERT INTO call SELECT (jsonb_populate_record(c, \'{{"seq": 1, "cost_pico": -8}}\')).*'
            " FROM call c WHERE status = 'settled' AND NOT practice LIMIT 1",
            {"spent", "windows", "endings", "corrections"},
        ),
        (
            'INSERT INTO call SELECT (jsonb_populate_record(c, \'{{"seq": 2, "status": "corrected",'
            ' "cost_pico": 0, "tokens": 0, "counted": 0}}\')).*'
            " FROM call c WHERE status = 'settled' AND NOT practice LIMIT 1",
            {"ends_once"},
        ),
        (
            "INSERT INTO call SELECT (jsonb_populate_record(c, jsonb_build_object('call_id', r.call_id))).*"
            " FROM call c, reservation r WHERE c.status = 'voided' LIMIT 1",
            {"ends_once"},
        ),
        (
            "INSERT INTO call SELECT (jsonb_populate_record(c, jsonb_build_object('call_id', r.call_id,"
            " 'tokens', 1))).* FROM call c, reservation r WHERE c.status = 'cached' LIMIT 1",
            {"endings"},
        ),
        ("UPDATE balance SET practice = true WHERE budget_id = {budget} AND held > 0", {"practice", "windows"}),
    ],
)
async def test_the_audit_names_what_is_bent(house: House, ledger: Ledger, bend: str, names: set[str]) -> None:
    await a_day_of_work(house, ledger)
    if "practice = true" in bend:
        house.sql("UPDATE balance SET window_start = window_start - interval '1 year' WHERE practice AND spent > 0")
    house.sql(bend.format(budget=house.budget.pk))
    found = broken(await report())
    assert names <= set(found)
    if names == {"held"}:
        assert set(found) == names


async def test_the_difference_is_said(house: House, ledger: Ledger) -> None:
    await a_day_of_work(house, ledger)
    house.sql("UPDATE balance SET spent = spent + 4 WHERE budget_id = %s AND NOT practice", house.budget.pk)
    [line] = broken(await report())["spent"]
    assert "(agent, usd per day" in line
    assert line.endswith("difference +4")


async def test_an_overrun_is_reported_and_is_no_breach(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=USD + 11))
    found = await report()
    assert (found.ok, found.overrun_pico, found.overrun_count) == (True, 11, 1)


def metered_end(cost_error: int = 0) -> tuple[CallStart, CallEnd]:
    """A call's end as the proxy writes it, its cost off by some pico-dollars."""
    book = current_book()
    row = book.row("openai", "gpt-4o-mini", datetime.now(UTC))
    usage = pricing.Usage(input=1_000, cache_read=200, output=50)
    cost = pricing.cost_pico(row, usage, pricing.Circumstances())
    end = CallEnd(
        cost_pico=cost + cost_error,
        tokens=1_250,
        input_tokens=1_000,
        cache_read_tokens=200,
        output_tokens=50,
        pricing={"row": row.row_id},
    )
    return CallStart(provider="openai", model="gpt-4o-mini", price_version=book.version), end


@pytest.mark.parametrize("error", [0, 1])
async def test_costs_are_priced_again(house: House, ledger: Ledger, error: int) -> None:
    start, end = metered_end(error)
    ask, late = house.ask(USD, start=start), house.ask(USD, start=start)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, end)
    await ledger.reserve(late)
    house.sql("UPDATE reservation SET deadline_at = now()")
    house.sql("UPDATE owner_lease SET expires_at = now()")
    await ledger.upkeep.reap(is_cautious=False)
    assert await ledger.settle(late.call_id, end) == "corrected"
    found = await report()
    assert [check.examined_count for check in found.checks if check.name == "prices"] == [2]
    assert len(broken(found).get("prices", [])) == 2 * error


async def test_a_price_version_that_was_not_kept_is_a_breach(house: House, ledger: Ledger) -> None:
    _, end = metered_end()
    ask = house.ask(USD, start=CallStart(provider="openai", model="gpt-4o-mini", price_version="000000000000"))
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, end)
    assert "not kept" in broken(await report())["prices"][0]


async def test_sums_of_hours_are_compared_once_they_are_closed(house: House, ledger: Ledger) -> None:
    await a_day_of_work(house, ledger)
    soon = datetime.now(UTC) + timedelta(minutes=5)
    await in_thread(rollups.roll_up, soon)
    assert broken(await report()) == {}
    house.sql("UPDATE hourly_usage SET cost_pico = cost_pico + 1")
    assert "hours" in broken(await report())


async def test_the_command_exits_with_1_on_a_breach(
    house: House, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    await a_day_of_work(house, ledger)
    await in_thread(call_command, "audit", "--json")
    assert '"ok": true' in capsys.readouterr().out
    house.sql("UPDATE balance SET held = held + 1")
    with pytest.raises(SystemExit) as end:
        await in_thread(call_command, "audit")
    assert end.value.code == 1
    assert "BREACH" in capsys.readouterr().out


async def test_the_audit_is_green_in_the_middle_of_traffic(house: House, ledger: Ledger) -> None:
    async def caller() -> None:
        for _ in range(20):
            ask = house.ask(1)
            await ledger.reserve(ask)
            await ledger.settle(ask.call_id, CallEnd(cost_pico=1))

    traffic = asyncio.gather(*(caller() for _ in range(8)))
    while not traffic.done():
        assert broken(await report()) == {}
    await traffic
