"""What people do to agents and budgets holds for the very next call, is written down, and happens once."""

import asyncio
from dataclasses import replace

import pytest

from accounts.models import AuditEntry, Organization
from agents import budgets
from agents.audit import audit
from agents.ledger import BudgetRefused, CallEnd, Ledger, Stale
from agents.models import Agent, Budget
from tests.agents.ledger_house import USD, House, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


def entries(house: House) -> list[str]:
    return [row[0] for row in house.sql("SELECT action FROM audit_entry ORDER BY at")]


def test_an_agent_comes_with_its_daily_budget_and_the_meter(house: House) -> None:
    assert (house.budget.limit, house.budget.unit, house.budget.window, house.budget.mode) == (
        5 * USD,
        "usd",
        "day",
        "hard",
    )
    assert house.meter.limit is None
    assert entries(house) == ["agent.created"]
    assert budgets.ensure_organization_meter(house.organization) == house.meter


def test_like_names_get_slugs_of_their_own(house: House) -> None:
    names = ["Scout", "Scöut!", "", "x" * 100]
    agents = [budgets.create_agent(house.organization, name, daily_limit_pico=None, by=None) for name in names]
    assert [agent.slug for agent in agents] == ["scout-2", "scout-3", "agent", "x" * 60]


async def test_a_raised_limit_keeps_what_was_spent(house: House, ledger: Ledger) -> None:
    ask = house.ask(5 * USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=5 * USD))
    await in_thread(budgets.set_limit, house.budget, 6 * USD, None)
    await ledger.reserve(house.ask(USD))
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(1))
    entry = await in_thread(AuditEntry.objects.get, action="budget.limit_set")
    assert entry.details == {"budget_id": str(house.budget.pk), "from": str(5 * USD), "to": str(6 * USD)}


async def test_a_lowered_limit_holds_for_the_next_call(house: House, ledger: Ledger) -> None:
    await ledger.reserve(house.ask(2 * USD))
    await in_thread(budgets.set_limit, house.budget, USD, None)
    with pytest.raises(BudgetRefused) as refusal:
        await ledger.reserve(house.ask(1))
    assert refusal.value.available == 0
    await in_thread(budgets.set_limit, house.budget, None, None)
    await ledger.reserve(house.ask(99 * USD))


async def test_a_limit_of_zero_refuses_what_costs_and_passes_what_is_free(house: House, ledger: Ledger) -> None:
    await in_thread(budgets.set_limit, house.budget, 0, None)
    with pytest.raises(BudgetRefused):
        await ledger.reserve(house.ask(1))
    await ledger.reserve(house.ask(0))


@pytest.mark.parametrize("action", [budgets.pause, budgets.archive])
async def test_a_paused_or_archived_agent_is_stale_to_every_proxy(house: House, ledger: Ledger, action: object) -> None:
    running = house.ask(USD)
    await ledger.reserve(running)
    old = house.ask(1)
    await in_thread(action, house.agent, None)  # type: ignore[arg-type]
    for ask in (old, house.ask(1)):
        with pytest.raises(Stale):
            await ledger.reserve(ask)
    assert await ledger.settle(running.call_id, CallEnd(cost_pico=3)) == "settled"


async def test_a_resumed_agent_calls_again_with_a_fresh_view(house: House, ledger: Ledger) -> None:
    old = house.ask(1)
    await in_thread(budgets.pause, house.agent, None)
    await in_thread(budgets.pause, house.agent, None)
    await in_thread(budgets.resume, house.agent, None)
    with pytest.raises(Stale):
        await ledger.reserve(old)
    await ledger.reserve(house.ask(1))
    assert entries(house) == ["agent.created", "agent.paused", "agent.resumed"]


async def test_a_stop_holds_until_the_agent_is_resumed(house: House, ledger: Ledger) -> None:
    old = house.ask(1)
    await in_thread(budgets.stop_now, house.agent, None)
    with pytest.raises(Stale):
        await ledger.reserve(old)
    assert house.agent.paused_at == house.agent.stopped_at is not None
    await in_thread(budgets.resume, house.agent, None)
    await ledger.reserve(house.ask(1))
    assert (house.agent.paused_at, house.agent.stopped_at) == (None, None)


def test_a_stop_of_a_paused_agent_keeps_since_when_it_was_paused_and_is_written_once(house: House) -> None:
    budgets.pause(house.agent, None)
    paused_at = house.agent.paused_at
    budgets.stop_now(house.agent, None)
    stopped_at = house.agent.stopped_at
    budgets.stop_now(house.agent, None)
    assert (house.agent.paused_at, house.agent.stopped_at) == (paused_at, stopped_at)
    assert entries(house) == ["agent.created", "agent.paused", "agent.stopped"]


def test_stopping_all_takes_every_agent_of_the_organisation_at_once(house: House) -> None:
    paused = budgets.create_agent(house.organization, "Paused", daily_limit_pico=1, by=None)
    gone = budgets.create_agent(house.organization, "Gone", daily_limit_pico=1, by=None)
    budgets.pause(paused, None)
    budgets.archive(gone, None)
    charlie = House()
    versions = dict(Agent.objects.values_list("name", "policy_version").filter(organization=house.organization))
    assert budgets.stop_all(house.organization, None) == 2
    for agent in (house.agent, paused, gone, charlie.agent):
        agent.refresh_from_db()
    assert [agent.stopped_at is not None for agent in (house.agent, paused, gone, charlie.agent)] == [
        True, True, False, False,
    ]  # fmt: skip
    assert house.agent.policy_version == versions["Scout"] + 1
    mine = AuditEntry.objects.filter(organization=house.organization, action__endswith="stopped")
    assert sorted(mine.values_list("action", "target")) == [
        ("agent.stopped", "Paused"), ("agent.stopped", "Scout"), ("organization.stopped", "Acme"),
    ]  # fmt: skip
    charlie.connection.close()


def test_stopping_all_lets_calls_create_no_agents_and_says_so_once(house: House) -> None:
    """B5: with an entry of its own, also where every agent was stopped already; nobody else's setting is touched."""
    charlie = House()
    Organization.objects.update(allows_new_agents=True)
    for count in (1, 0, 0):
        assert budgets.stop_all(house.organization, None) == count
    allowed = Organization.objects.filter(allows_new_agents=True).values_list("pk", flat=True)
    assert list(allowed) == [charlie.organization.pk]
    (entry,) = AuditEntry.objects.filter(action="organization.new_agents_stopped")
    assert (entry.organization_id, entry.target) == (house.organization.pk, "Acme")
    assert entry.details == {"from": "yes", "to": "no"}
    charlie.connection.close()


def test_stopping_all_again_changes_nothing_and_leaves_no_entry(house: House) -> None:
    budgets.stop_all(house.organization, None)
    house.agent.refresh_from_db()
    before = (house.agent.stopped_at, house.agent.policy_version, entries(house))
    assert budgets.stop_all(house.organization, None) == 0
    house.agent.refresh_from_db()
    assert (house.agent.stopped_at, house.agent.policy_version, entries(house)) == before


def test_a_stop_of_all_that_fails_stops_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    Organization.objects.update(allows_new_agents=True)
    monkeypatch.setattr(budgets, "announce", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        budgets.stop_all(house.organization, None)
    house.agent.refresh_from_db()
    assert house.agent.stopped_at is None
    assert Organization.objects.get(pk=house.organization.pk).allows_new_agents
    assert entries(house) == ["agent.created"]


async def test_a_touched_agent_or_organisation_makes_views_stale(house: House, ledger: Ledger) -> None:
    for touch, target in ((budgets.touch_agent, house.agent), (budgets.touch_organization, house.organization)):
        old = house.ask(1)
        await in_thread(touch, target.pk)  # type: ignore[operator]
        with pytest.raises(Stale):
            await ledger.reserve(old)
        await ledger.reserve(house.ask(1))


@pytest.mark.parametrize("unit", ["usd", "tokens", "calls"])
async def test_a_new_budget_starts_from_what_its_window_has_spent_and_holds(
    house: House, ledger: Ledger, unit: str
) -> None:
    neighbour = await in_thread(budgets.create_agent, house.organization, "Neighbour", daily_limit_pico=None, by=None)
    settled, running, foreign = house.ask(USD), house.ask(USD), house.ask(USD, agent=neighbour)
    for ask in (settled, running, foreign):
        await ledger.reserve(ask)
    await ledger.settle(settled.call_id, CallEnd(cost_pico=7, tokens=30))
    new = Budget(organization=house.organization, agent=house.agent, scope="agent", unit=unit, window="week", limit=9)
    await in_thread(budgets.add_budget, new, None)
    spent, held = {"usd": (7, USD), "tokens": (30, 100), "calls": (1, 1)}[unit]
    assert house.amounts(new) == (spent, held)
    house.budgets.append((new.pk, ""))
    await ledger.settle(running.call_id, CallEnd(cost_pico=2, tokens=5))
    ends = {"usd": 9, "tokens": 35, "calls": 2}
    assert house.amounts(new) == (ends[unit], 0)
    assert (await in_thread(audit)).ok


async def test_a_budget_added_under_traffic_counts_every_call(house: House, ledger: Ledger) -> None:
    count = 0

    async def caller() -> None:
        nonlocal count
        for _ in range(25):
            # The versions first: a budget that comes between the two is named too early, and the ask is stale.
            agent_version, organization_version = house.versions(house.agent)
            budget_ids = house.sql(
                "SELECT id FROM budget WHERE organization_id = %s AND ended_at IS NULL", house.organization.pk
            )
            ask = replace(
                house.ask(1, budgets=tuple((budget_id, "") for (budget_id,) in budget_ids)),
                agent_version=agent_version, organization_version=organization_version,
            )  # fmt: skip
            try:
                await ledger.reserve(ask)
            except Stale:
                continue
            await ledger.settle(ask.call_id, CallEnd(cost_pico=1))
            count += 1

    traffic = asyncio.gather(*(caller() for _ in range(6)))
    await asyncio.sleep(0.1)
    new = Budget(organization=house.organization, scope="organization", unit="calls", window="month", limit=10**6)
    await in_thread(budgets.add_budget, new, None)
    await traffic
    assert house.amounts(new) == (count, 0)
    assert (await in_thread(audit)).ok


async def test_an_ended_budget_no_longer_refuses(house: House, ledger: Ledger) -> None:
    await in_thread(budgets.end_budget, house.budget, None)
    house.budgets.remove((house.budget.pk, ""))
    await ledger.reserve(house.ask(99 * USD))


def test_the_meter_cannot_end(house: House) -> None:
    with pytest.raises(budgets.NotNow):
        budgets.end_budget(house.meter, None)


def test_an_edit_that_fails_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets, "_audit", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        budgets.set_limit(house.budget, 1, None)
    house.budget.refresh_from_db()
    assert house.budget.limit == 5 * USD
    assert Agent.objects.get().policy_version == 1
