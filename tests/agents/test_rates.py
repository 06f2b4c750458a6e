"""Setting and ending an organisation's own rates, and pricing old calls by them again (B12)."""

from typing import Any

import pytest

from accounts.models import AuditEntry
from agents import pricing, rates
from agents.audit import audit
from agents.callers import caller_for
from agents.ledger import CallEnd, CallStart, Ledger
from agents.models import CustomRate
from agents.money import PICO_PER_USD
from tests import cast
from tests.agents.ledger_house import USD, House, in_thread

MODEL = "acme-support-70b"


def rate(organization: Any, model: str = MODEL, *, usd: int = 2, out: int = 8, **more: Any) -> CustomRate:
    prices = {"input_pico": usd * PICO_PER_USD, "output_pico": out * PICO_PER_USD}
    return CustomRate(organization=organization, provider="openai", model=model, **prices | more)


@pytest.mark.django_db
def test_a_rate_is_in_the_callers_snapshot_and_moves_the_policy_version() -> None:
    alice = cast.alice()
    before = caller_for(alice.live_key)
    made = rates.set_rate(rate(alice.organization), by=alice.user)
    after = caller_for(alice.live_key)
    assert (before.rates, after.rates) == ((), (made,))
    assert after.organization_version > before.organization_version
    rates.end_rate(made, by=alice.user)
    assert caller_for(alice.live_key).rates == ()
    assert caller_for(alice.live_key).organization_version > after.organization_version


@pytest.mark.django_db
def test_a_new_price_ends_the_old_row_and_edits_nothing() -> None:
    alice = cast.alice()
    old = rates.set_rate(rate(alice.organization), by=alice.user)
    new = rates.set_rate(rate(alice.organization, usd=3), by=alice.user)
    rows = {row.id: row for row in CustomRate.objects.all()}
    assert (rows[old.id].input_pico, rows[new.id].input_pico) == (2 * PICO_PER_USD, 3 * PICO_PER_USD)
    assert rows[old.id].ended_at is not None
    assert rates.current(alice.organization.id) == [new]
    assert rates.kept_row(alice.organization.id, f"custom/{old.id}") == rates.row_of(old)


@pytest.mark.django_db
def test_each_change_is_written_down_in_exact_dollars() -> None:
    alice = cast.alice()
    rates.set_rate(rate(alice.organization), by=alice.user)
    made = rates.set_rate(rate(alice.organization, usd=3, call_pico=PICO_PER_USD // 1_000), by=alice.user)
    rates.end_rate(made, by=alice.user)
    entries = list(AuditEntry.objects.filter(action__startswith="rate.").order_by("at", "id"))
    assert [entry.action for entry in entries] == ["rate.set", "rate.set", "rate.ended"]
    assert {(entry.user, entry.target) for entry in entries} == {(alice.user, f"openai {MODEL}")}
    assert entries[1].details["from"]["input"] == "2.000000"
    assert entries[1].details["to"] == {
        "input": "3.000000", "cache_read": None, "cache_write": None, "output": "8.000000", "call": "0.001000",
    }  # fmt: skip


@pytest.mark.django_db
def test_the_same_prices_again_and_a_second_end_change_nothing() -> None:
    alice = cast.alice()
    first = rates.set_rate(rate(alice.organization), by=alice.user)
    assert rates.set_rate(rate(alice.organization), by=alice.user) == first
    rates.end_rate(first, by=alice.user)
    rates.end_rate(first, by=alice.user)
    assert AuditEntry.objects.filter(action__startswith="rate.").count() == 2
    assert CustomRate.objects.count() == 1


@pytest.mark.django_db
def test_a_change_that_fails_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    first = rates.set_rate(rate(alice.organization), by=alice.user)
    version = caller_for(alice.live_key).organization_version

    def dies(*args: Any, **kwargs: Any) -> None:
        raise OSError("the machine goes down")

    monkeypatch.setattr(AuditEntry.objects, "create", dies)
    with pytest.raises(OSError):
        rates.set_rate(rate(alice.organization, usd=3), by=alice.user)
    assert rates.current(alice.organization.id) == [first]
    assert caller_for(alice.live_key).organization_version == version


@pytest.mark.django_db
def test_the_rates_of_an_organisation_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    alice = cast.alice()
    monkeypatch.setattr(rates, "RATES_MAX", 2)
    for model in ("a", "b"):
        rates.set_rate(rate(alice.organization, model), by=alice.user)
    with pytest.raises(rates.TooManyRates):
        rates.set_rate(rate(alice.organization, "c"), by=alice.user)
    rates.set_rate(rate(alice.organization, "b", usd=3), by=alice.user)
    assert len(rates.current(alice.organization.id)) == 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    "bad",
    [
        {"input_pico": -1}, {"output_pico": rates.RATE_PICO_MAX + 1_000_000}, {"cache_read_pico": 1},
        {"cache_write_pico": -1_000_000}, {"call_pico": rates.CALL_PICO_MAX + 1},
    ],
)  # fmt: skip
def test_an_amount_out_of_bounds_is_never_stored(bad: dict[str, int]) -> None:
    alice = cast.alice()
    with pytest.raises(ValueError, match=next(iter(bad))):
        rates.set_rate(rate(alice.organization, **bad), by=alice.user)
    assert not CustomRate.objects.exists()


@pytest.mark.django_db
def test_charlie_has_no_row_of_acmes() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    made = rates.set_rate(rate(alice.organization), by=alice.user)
    assert caller_for(charlie.live_key).rates == ()
    assert rates.kept_row(charlie.organization.id, f"custom/{made.id}") is None
    assert rates.kept_row(alice.organization.id, "custom/nonsense") is None


@pytest.mark.parametrize(
    ("provider", "model"), [("anthropic", MODEL), ("openai", f"{MODEL}-2026-01-01"), ("openai", "ACME")]
)
def test_only_the_exact_model_of_the_exact_provider_has_the_rate(provider: str, model: str) -> None:
    made = CustomRate(provider="openai", model=MODEL)
    assert rates.find([made], "openai", MODEL) is made
    assert rates.find([made], provider, model) is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [0, 1])
async def test_the_audit_prices_calls_again_by_a_rate_that_has_ended(house: House, ledger: Ledger, error: int) -> None:
    made = await in_thread(rates.set_rate, rate(house.organization, call_pico=5), by=None)
    usage = pricing.Usage(input=1_000, cache_read=200, output=50)
    cost = pricing.cost_pico(rates.row_of(made), usage, pricing.Circumstances())
    ask = house.ask(USD, start=CallStart(provider="openai", model=MODEL, price_version="000000000000"))
    await ledger.reserve(ask)
    end = CallEnd(
        cost_pico=cost + error, tokens=1_250, input_tokens=1_000, cache_read_tokens=200, output_tokens=50,
        pricing={"row": f"custom/{made.id}"},
    )  # fmt: skip
    await ledger.settle(ask.call_id, end)
    await in_thread(rates.set_rate, rate(house.organization, usd=9), by=None)
    found = await in_thread(audit)
    checked = next(check for check in found.checks if check.name == "prices")
    assert checked.examined_count == 1
    assert len(checked.breaches) == error


@pytest.mark.django_db(transaction=True)
async def test_a_row_that_nobody_kept_is_a_breach(house: House, ledger: Ledger) -> None:
    ask = house.ask(USD)
    await ledger.reserve(ask)
    await ledger.settle(ask.call_id, CallEnd(cost_pico=1, pricing={"row": f"custom/{house.agent.pk}"}))
    found = await in_thread(audit)
    assert "own rates" in next(check for check in found.checks if check.name == "prices").breaches[0]
