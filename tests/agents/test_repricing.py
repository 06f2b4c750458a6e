"""Scenario B20: an admin prices past calls again by a rate that was set late or typed wrongly."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEntry, Membership, Role
from agents import repricing
from agents.audit import audit
from agents.models import Balance, Basis, Call, CallStatus, CustomRate
from agents.money import PICO_PER_USD
from agents.rates import set_rate
from tests import cast
from tests.agents.pages_house import CENT, book_call, browser

pytestmark = pytest.mark.django_db
MODEL = "acme-70b"
SLIP_USD, RIGHT_USD = 500, 5  # somebody typed cents
WRONG_PICO, RIGHT_PICO = 1_000 * SLIP_USD * 10**6, 1_000 * RIGHT_USD * 10**6


def rate(person: cast.Person, usd: int, model: str = MODEL) -> CustomRate:
    prices = {"input_pico": usd * PICO_PER_USD, "output_pico": usd * PICO_PER_USD}
    made = CustomRate(organization=person.organization, provider="openai", model=model, **prices)
    return set_rate(made, by=person.user)


def used(person: cast.Person, by: CustomRate, **fields: object) -> Call:
    """A call of a thousand tokens that was charged by a rate; one of a cent to another model opened the balances."""
    book_call(person)
    counting = Balance.objects.filter(practice=False, budget__organization=person.organization)
    values = {
        "basis": Basis.USAGE, "model": MODEL, "pricing": {"row": f"custom/{by.id}"}, "cost_pico": WRONG_PICO,
        "input_tokens": 900, "output_tokens": 100, "tokens": 1_000, "held_pico": 2 * WRONG_PICO,
        "balance_ids": sorted(counting.values_list("id", flat=True)),
    }  # fmt: skip
    return book_call(person, **values | fields)  # type: ignore[arg-type]


def cost_of(call: Call) -> int:
    return sum(Call.objects.filter(call_id=call.call_id).values_list("cost_pico", flat=True))


def spent(person: cast.Person) -> set[int]:
    balances = Balance.objects.filter(practice=False, budget__organization=person.organization)
    return set(balances.values_list("spent", flat=True))


def page_of(person: cast.Person, made: CustomRate, query: str = "") -> str:
    answer = browser(person).get(f"/settings/rates/{made.id}/reprice/{query}")
    return " ".join(answer.content.decode().split())


def test_an_admin_prices_past_calls_again_by_the_right_rate() -> None:
    """Scenario B20."""
    alice = cast.alice()
    bob = cast.bob(alice)
    Membership.objects.filter(user=bob.user).update(role=Role.ADMIN)
    call = used(alice, rate(alice, SLIP_USD))
    assert spent(alice) == {CENT + WRONG_PICO}
    right = rate(alice, RIGHT_USD)
    page = page_of(bob, right)
    assert "1 of 1 call</strong> would cost something else" in page
    assert "-$0.495000" in page
    assert cost_of(call) == WRONG_PICO
    answer = browser(bob).post(f"/settings/rates/{right.id}/reprice/", {"days": "7"}, follow=True)
    assert "1 call to acme-70b was priced again: -$0.495000 in all." in answer.content.decode()
    assert cost_of(call) == RIGHT_PICO
    assert spent(alice) == {CENT + RIGHT_PICO}
    fix = Call.objects.get(call_id=call.call_id, seq=1)
    assert fix.facts is not None
    assert (fix.status, fix.cost_pico, fix.facts["by"]) == (
        CallStatus.CORRECTED,
        RIGHT_PICO - WRONG_PICO,
        bob.user.email,
    )
    assert AuditEntry.objects.get(action="call.repriced").user == bob.user


@pytest.mark.django_db(transaction=True)  # the audit begins a transaction of its own
def test_a_second_time_changes_nothing_and_another_rate_prices_from_what_stands() -> None:
    alice = cast.alice()
    call = used(alice, rate(alice, SLIP_USD))
    since = timezone.now() - timedelta(days=1)
    right = rate(alice, RIGHT_USD)
    first = repricing.reprice(alice.organization, right, since, by=alice.user)
    again = repricing.reprice(alice.organization, right, since, by=alice.user)
    assert (len(first.changes), len(again.changes), again.examined_count) == (1, 0, 1)
    dearer = rate(alice, 7)
    change = repricing.reprice(alice.organization, dearer, since, by=alice.user).changes[0]
    assert (change.from_pico, change.to_pico) == (RIGHT_PICO, 7 * 10**9)
    assert cost_of(call) == 7 * 10**9
    assert next(check for check in audit().checks if check.name == "prices").breaches == []


def test_calls_by_the_list_are_priced_again_by_a_contracts_rate() -> None:
    alice = cast.alice()
    listed = {"row": "openai/gpt-4o"}
    call = used(alice, rate(alice, SLIP_USD), model="gpt-4o", pricing=listed, cost_pico=3_250_000_000)
    contract = rate(alice, 1, model="gpt-4o")
    repricing.reprice(alice.organization, contract, timezone.now() - timedelta(days=1), by=alice.user)
    assert cost_of(call) == 10**9


def test_a_call_that_named_its_provider_before_the_model_is_one_of_the_models() -> None:
    """Agents ask for openai/gpt-4o where two providers have it, and the book keeps what they asked for."""
    alice = cast.alice()
    listed = {"row": "openai/gpt-4o"}
    call = used(alice, rate(alice, SLIP_USD), model="openai/gpt-4o", pricing=listed, cost_pico=3_250_000_000)
    other = used(alice, rate(alice, SLIP_USD), model="else/gpt-4o", pricing=listed, cost_pico=3_250_000_000)
    contract = rate(alice, 1, model="gpt-4o")
    repricing.reprice(alice.organization, contract, timezone.now() - timedelta(days=1), by=alice.user)
    assert (cost_of(call), cost_of(other)) == (10**9, 3_250_000_000)


@pytest.mark.parametrize(
    "fields",
    [
        {"basis": Basis.ESTIMATED},
        {"basis": Basis.WORST_CASE, "status": CallStatus.EXPIRED},
        {"status": CallStatus.VOIDED},
        {"practice": True},
        {"model": "other-70b", "pricing": {"row": "openai/gpt-4o"}},
        {"reserved_at": timezone.now() - timedelta(days=8)},
    ],
    ids=["estimated", "expired", "voided", "practice", "another model", "older"],
)
def test_what_no_usage_priced_or_is_older_keeps_its_cost(fields: dict[str, object]) -> None:
    alice = cast.alice()
    call = used(alice, rate(alice, SLIP_USD), **fields)
    found = repricing.reprice(
        alice.organization, rate(alice, RIGHT_USD), timezone.now() - timedelta(days=7), by=alice.user
    )
    assert found.changes == ()
    assert cost_of(call) == WRONG_PICO


def test_a_call_that_the_rate_has_no_price_for_is_counted_and_kept() -> None:
    alice = cast.alice()
    slip = rate(alice, SLIP_USD)
    call = used(alice, slip, pricing={"row": f"custom/{slip.id}", "tier": "flex"})
    right = rate(alice, RIGHT_USD)
    assert "1 used what the rate has no price for: the cost stays." in page_of(alice, right)
    assert cost_of(call) == WRONG_PICO


def test_so_many_calls_at_once_and_the_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "CALLS_MAX", 2)
    alice = cast.alice()
    slip = rate(alice, SLIP_USD)
    calls = [used(alice, slip) for _ in range(3)]
    right, since = rate(alice, RIGHT_USD), timezone.now() - timedelta(days=1)
    found = repricing.reprice(alice.organization, right, since, by=alice.user)
    assert (len(found.changes), found.is_whole) == (2, False)
    newest = sorted(calls, key=lambda call: call.call_id)[1:]
    assert {change.call_id for change in found.changes} == {call.call_id for call in newest}


def test_members_and_charlie_price_nothing_again() -> None:
    alice = cast.alice()
    call = used(alice, rate(alice, SLIP_USD))
    right = rate(alice, RIGHT_USD)
    address = f"/settings/rates/{right.id}/reprice/"
    assert browser(cast.bob(alice)).post(address, {"days": "7"}).status_code == 403
    charlie = browser(cast.charlie())
    assert charlie.get(address).status_code == 404
    assert charlie.post(address, {"days": "7"}).status_code == 404
    assert cost_of(call) == WRONG_PICO


@pytest.mark.parametrize(("query", "days"), [("", 7), ("?days=30", 30), ("?days=1000000", 7), ("?days=-1", 7)])
def test_how_far_back_is_one_of_a_few_choices(query: str, days: int) -> None:
    alice = cast.alice()
    assert f"of the last {days} days would cost anything else" in page_of(alice, rate(alice, RIGHT_USD), query)


def test_a_rate_that_has_ended_prices_nothing() -> None:
    alice = cast.alice()
    old = rate(alice, SLIP_USD)
    rate(alice, RIGHT_USD)
    assert browser(alice).get(f"/settings/rates/{old.id}/reprice/").status_code == 302
