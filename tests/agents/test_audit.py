"""The audit is green on what the ledger wrote, and names the difference when anything is bent."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Organization
from agents import budgets, pricing, rollups
from agents.audit import AuditUnderWay
from agents.budget_terms import BudgetTerms
from agents.ledger import BudgetRefused, CallEnd, CallStart, Ledger
from agents.pricebook import current_book
from tests.agents.audit_house import a_day_of_work, broken, remember, report, tamper
from tests.agents.ledger_house import USD, House, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


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


# A row like the first settled one, under another id, that differs in some columns and charges nothing.
COPY = (
    "INSERT INTO call SELECT (jsonb_populate_record(c, jsonb_build_object("
    "'call_id', left(c.call_id::text, 24) || '000000000001', 'cost_pico', 0, 'tokens', 0) || {columns})).*"
    " FROM call c WHERE status = 'settled' AND NOT practice AND seq = 0 ORDER BY call_id LIMIT 1"
)
BENDS: list[tuple[str, set[str]]] = [
    ("UPDATE balance SET held = held + 1 WHERE id = (SELECT max(id) FROM balance)", {"held"}),
    ("UPDATE balance SET spent = spent + 1 WHERE budget_id = {budget}", {"spent"}),
    ("DELETE FROM reservation", {"held"}),
    ("UPDATE reservation SET usd_pico = usd_pico - 1", {"held"}),
    (
        'INSERT INTO call SELECT (jsonb_populate_record(c, \'{{"seq": 1, "cost_pico": -8}}\')).*'
        " FROM call c WHERE status = 'settled' AND NOT practice LIMIT 1",
        {"spent", "endings", "corrections"},
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
    (COPY.format(columns="'{{\"seq\": 1, \"status\": \"corrected\", \"counted\": 0}}'"), {"ends_once"}),
    (COPY.format(columns="'{{\"status\": \"cached\"}}'"), {"endings"}),
    (COPY.format(columns="'{{\"balance_ids\": []}}'"), {"metered", "windows"}),
    (COPY.format(columns="jsonb_build_object('balance_ids', ARRAY(SELECT id FROM balance WHERE budget_id = {meter}))"),
     {"windows", "practice"}),
    ("UPDATE balance SET practice = true, window_start = window_start - interval '1 year'"
     " WHERE budget_id = {budget} AND held > 0", {"practice"}),
    ("UPDATE balance SET window_start = window_start - interval '1 day', window_end = window_start"
     " WHERE budget_id = {budget}", {"windows"}),
    ("UPDATE budget SET organization_id = (SELECT id FROM organization WHERE name = 'Borealis') WHERE id = {budget}",
     {"metered"}),
]  # fmt: skip


@pytest.mark.parametrize("is_remembered", [False, True])
@pytest.mark.parametrize(("bend", "names"), BENDS)
async def test_the_audit_names_what_is_bent(
    house: House, ledger: Ledger, bend: str, names: set[str], is_remembered: bool
) -> None:
    """Whether the rows are read now or were remembered by an earlier run."""
    await in_thread(Organization.objects.create, name="Borealis")
    await a_day_of_work(house, ledger)
    if is_remembered:
        assert broken(await remember(house)) == {}
    house.sql(bend.format(budget=house.budget.pk, meter=house.meter.pk))
    found = await report()
    assert names <= set(broken(found))
    if names == {"held"}:
        assert set(broken(found)) == names
    concerned = {difference.organization_id for difference in found.differences()}
    assert house.organization.pk in concerned
    # A later run says so, too: what is not sound is not remembered.
    assert broken(await remember(house)).keys() == broken(found).keys()


async def test_the_difference_is_said(house: House, ledger: Ledger) -> None:
    await a_day_of_work(house, ledger)
    house.sql("UPDATE balance SET spent = spent + 4 WHERE budget_id = %s AND NOT practice", house.budget.pk)
    [line] = broken(await report())["spent"]
    assert "(agent, usd per day" in line
    assert line.endswith("difference +4")


async def test_a_correction_without_an_ending_is_named(house: House, ledger: Ledger) -> None:
    await a_day_of_work(house, ledger)
    tamper(house, "DELETE FROM call WHERE status = 'expired'")
    lines = broken(await report())["ends_once"]
    assert [line.partition(" has ")[2] for line in lines] == ["corrections but no ending"]


async def test_more_than_the_limit_is_a_breach_unless_somebody_changed_it(house: House, ledger: Ledger) -> None:
    """F1's promise, as the books show it: nothing is admitted above a limit."""
    ask = house.ask(3 * USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=2 * USD))
    assert broken(await report()) == {}
    house.sql('UPDATE budget SET "limit" = %s WHERE id = %s', USD, house.budget.pk)
    [line] = broken(await report())["limits"]
    assert line.endswith(f"{2 * USD} was admitted, the limit was {USD} at most, difference {USD:+d}")
    assert "limits" in broken(await remember(house))
    house.sql('UPDATE budget SET "limit" = %s WHERE id = %s', 5 * USD, house.budget.pk)
    await in_thread(budgets.set_limit, house.budget, USD, None)
    assert broken(await report()) == {}


@pytest.mark.parametrize("is_remembered", [False, True])
async def test_what_nobody_admitted_may_be_above_the_limit(house: House, ledger: Ledger, is_remembered: bool) -> None:
    """An overrun is truth, and so is the past of a new budget."""
    ask, later = house.ask(4 * USD), house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=6 * USD))
    terms = BudgetTerms(scope="agent", unit="calls", window="month", limit=0)
    await in_thread(budgets.create_budget, house.organization, house.agent, terms, None)
    assert broken(await (remember(house) if is_remembered else report())) == {}
    with pytest.raises(BudgetRefused):
        await ledger.reserve(replace(later, agent_version=house.versions(house.agent)[0]))
    assert broken(await report()) == {}


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
    """C2: a cost that is not the sum of its parts is a breach."""
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


async def test_accepting_needs_a_comparison(house: House) -> None:
    with pytest.raises(CommandError, match="--full"):
        await in_thread(call_command, "audit", "--accept")


async def test_one_audit_runs_at_a_time(house: House) -> None:
    house.sql("SELECT pg_advisory_lock(hashtextextended('audit', 0))")
    with pytest.raises(AuditUnderWay):
        await report()
    house.sql("SELECT pg_advisory_unlock(hashtextextended('audit', 0))")
    assert (await report(wait_seconds=1)).ok


@pytest.mark.parametrize("is_remembered", [False, True])
async def test_the_audit_is_green_in_the_middle_of_traffic(house: House, ledger: Ledger, is_remembered: bool) -> None:
    """Also where rows are remembered before the last of their time are seen."""

    async def caller() -> None:
        for _ in range(20):
            ask = house.ask(1)
            await ledger.reserve(ask)
            await ledger.settle(ask.call_id, CallEnd(cost_pico=1))

    traffic = asyncio.gather(*(caller() for _ in range(8)))
    while not traffic.done():
        assert broken(await (remember(house) if is_remembered else report())) == {}
    await traffic
    assert broken(await report(full=True)) == {}


async def rolling(house: House) -> None:
    terms = BudgetTerms(scope="agent", window="rolling_24h", limit=10 * USD)
    budget = await in_thread(budgets.create_budget, house.organization, house.agent, terms, None)
    house.budgets.append((budget.pk, ""))


async def test_hours_of_a_rolling_budget_are_the_sums_of_their_calls(house: House, ledger: Ledger) -> None:
    before, after = house.ask(USD), None
    await ledger.reserve(before)
    await ledger.settle(before.call_id, CallEnd(cost_pico=11))
    await rolling(house)
    after = house.ask(USD)
    await ledger.reserve(after)
    await ledger.settle(after.call_id, CallEnd(cost_pico=7))
    assert broken(await report()) == {}
    house.sql("UPDATE balance_bucket SET spent = spent + 5")
    [line] = broken(await report())["buckets"]
    assert line.endswith("spent is 23, should be 18, difference +5")


async def test_an_hour_of_a_rolling_budget_cannot_lend_to_another(house: House, ledger: Ledger) -> None:
    """The anchor is right and so is the sum of its hours, but not each of them."""
    await rolling(house)
    house.sql(
        "UPDATE balance SET opened_at = opened_at - interval '5 hours'"
        " WHERE budget_id IN (SELECT id FROM budget WHERE \"window\" = 'rolling_24h')"
    )
    ask = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=7))
    assert broken(await report()) == {}
    house.sql("UPDATE balance_bucket SET bucket_start = bucket_start - interval '2 hours'")
    assert len(broken(await report())["buckets"]) == 2
