"""A4: bounds that did not hold, guards that count alone, prices that end."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.credentials import Upstream, connect
from accounts.ids import uuid7
from agents import rates
from agents.models import CallStatus, CustomRate, Guards, HourlyUsage, Mark, OwnerLease, RuleMode, database_now
from agents.pricebook import PriceBook, current_book
from alerts import raising
from alerts.emails import letter
from alerts.models import Alert, AlertKind
from alerts.raising import prices
from alerts.raising.prices import Ending, endings
from tests import cast
from tests.alerts.books import DAY, USD, call, midnight, refuse
from tests.cast import Person

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
AT = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def noon() -> datetime:
    return midnight(database_now()) + timedelta(hours=12)


def alerts(kind: AlertKind) -> list[Alert]:
    return list(Alert.objects.filter(kind=kind).order_by("raised_at", "subject"))


# Bounds


def breach(alice: Person, at: datetime, *, stage: int = 1, **columns: Any) -> None:
    facts = {"bound": {"stage": stage, "tokens": 1000, "actual": 1017, "breach": True}}
    call(alice, at, **({"facts": facts} | columns))


@pytest.mark.django_db
def test_a_bound_that_did_not_hold_is_told_once_for_provider_model_and_day(noon: datetime) -> None:
    alice = cast.alice()
    for step in range(3):
        breach(alice, noon + step * SECOND)
        breach(alice, noon + step * SECOND, model="gpt-4.1")
        raising.raise_alerts(noon + (step + 1) * SECOND)
    told = alerts(AlertKind.BOUND_BREACH)
    assert sorted(alert.subject for alert in told) == ["openai/gpt-4.1", "openai/gpt-4o-mini"]
    written = letter(next(alert for alert in told if alert.subject == "openai/gpt-4o-mini"))
    assert written.subject == "gpt-4o-mini read more of a call than was bounded"
    assert "It read 1,017 tokens where at most 1,000 were expected." in written.sentences[0]
    assert "no longer counted by its tokenizer" in written.sentences[1]


@pytest.mark.django_db
def test_a_bound_by_bytes_that_did_not_hold_says_that_the_model_is_refused(noon: datetime) -> None:
    breach(cast.alice(), noon, stage=0)
    raising.raise_alerts(noon)
    assert "refused for now" in letter(alerts(AlertKind.BOUND_BREACH)[0]).sentences[1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "columns",
    [
        {"practice": True},
        {"seq": 1, "status": CallStatus.CORRECTED},
        {"facts": {"bound": {"stage": 1, "tokens": 1000, "actual": 900, "breach": False}}},
        {"facts": {"bound": "bytes"}},
        {"facts": None},
    ],
)
def test_bounds_that_held_and_calls_that_do_not_count_are_not_told(noon: datetime, columns: dict[str, Any]) -> None:
    breach(cast.alice(), noon, **columns)
    raising.raise_alerts(noon)
    assert alerts(AlertKind.BOUND_BREACH) == []


@pytest.mark.django_db
def test_a_refusal_whose_bound_is_a_word_is_no_breach(noon: datetime) -> None:
    alice = cast.alice()
    row = refuse(alice, alice.agent.budgets.get(), noon, spent_cents=487)
    assert row.facts is not None
    assert row.facts["bound"] == "bytes"
    raising.raise_alerts(noon)
    assert alerts(AlertKind.BOUND_BREACH) == []


@pytest.mark.django_db
def test_a_breach_that_cost_more_than_the_ceiling_is_an_overrun_alone(noon: datetime) -> None:
    breach(cast.alice(), noon, cost_pico=USD, held_pico=USD // 2)
    raising.raise_alerts(noon)
    assert [alert.kind for alert in Alert.objects.all()] == [AlertKind.OVERRUN]


# Guards that count alone


def lease(since: datetime | None, *, alive: bool = True, at: datetime) -> OwnerLease:
    return OwnerLease.objects.create(
        owner=uuid7(), renewed_at=at, expires_at=at + (20 if alive else -1) * SECOND, degraded_since=since
    )


@pytest.mark.django_db
def test_guards_that_count_alone_are_told_once_to_those_who_use_them(noon: datetime) -> None:
    alice, charlie = cast.alice(), cast.charlie()
    Guards.objects.create(agent=alice.agent, calls_per_minute=60)
    Guards.objects.create(agent=charlie.agent)
    for seconds in (0, 2):
        lease(noon + seconds * SECOND, at=noon + 5 * MINUTE)
    for minutes in (1, 2, 3):
        raising.raise_alerts(noon + minutes * MINUTE)
    (alert,) = alerts(AlertKind.GUARDS_DEGRADED)
    assert (alert.organization_id, alert.window_start) == (alice.organization.id, noon)
    assert "Budgets hold all the same" in letter(alert).sentences[1]


@pytest.mark.django_db
@pytest.mark.parametrize("rule", ["repeat_mode", "busy_mode", "retry_mode"])
def test_rules_that_block_count_there_as_well(noon: datetime, rule: str) -> None:
    Guards.objects.create(agent=cast.alice().agent, **{rule: RuleMode.BLOCK})
    lease(noon, at=noon + MINUTE)
    raising.raise_alerts(noon + MINUTE)
    assert len(alerts(AlertKind.GUARDS_DEGRADED)) == 1


@pytest.mark.django_db
def test_a_short_absence_and_dead_processes_are_not_told(noon: datetime) -> None:
    Guards.objects.create(agent=cast.alice().agent, calls_per_minute=60)
    lease(noon, at=noon)
    lease(noon - HOUR, alive=False, at=noon)
    lease(None, at=noon)
    raising.raise_alerts(noon + 10 * SECOND)
    assert alerts(AlertKind.GUARDS_DEGRADED) == []


@pytest.mark.django_db
def test_processes_that_start_in_the_same_outage_are_no_news_and_the_next_outage_is(noon: datetime) -> None:
    Guards.objects.create(agent=cast.alice().agent, calls_per_minute=60)
    first = lease(noon, at=noon + 5 * HOUR)
    raising.raise_alerts(noon + MINUTE)
    OwnerLease.objects.filter(owner=first.owner).update(degraded_since=noon + 10 * MINUTE)  # it was started again
    raising.raise_alerts(noon + 20 * MINUTE)
    assert len(alerts(AlertKind.GUARDS_DEGRADED)) == 1
    OwnerLease.objects.filter(owner=first.owner).update(degraded_since=None)
    raising.raise_alerts(noon + 30 * MINUTE)
    OwnerLease.objects.filter(owner=first.owner).update(degraded_since=noon + 3 * HOUR)
    for minutes in (1, 2):
        raising.raise_alerts(noon + 3 * HOUR + minutes * MINUTE)
    assert [alert.window_start for alert in alerts(AlertKind.GUARDS_DEGRADED)] == [noon, noon + 3 * HOUR]


# Prices


ROW = {"provider": "openai", "kind": "chat", "rates": {"input": "1", "output": "2"}}


def a_book(*rows: dict[str, Any]) -> PriceBook:
    return current_book().with_rows([{"models": ["gpt-test"]} | ROW | row for row in rows], version="test")


def day(number: int, month: int = 12) -> datetime:
    return datetime(2026, month, number, tzinfo=UTC)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([{}], []),
        ([{"until": "2026-12-01"}], [(day(1), False)]),
        ([{"until": "2026-12-01"}, {"since": "2026-12-01"}], []),
        ([{"recheck_after": "2026-12-05"}], [(day(5), True)]),
        ([{"recheck_after": "2026-12-05", "until": "2026-12-01"}], [(day(1), False), (day(5), True)]),
        ([{"until": "2026-11-01"}, {"since": "2026-11-01"}], []),
        ([{"until": "2026-11-01"}], [(day(1, 11), False)]),
        ([{"recheck_after": "2026-11-21"}], [(day(21, 11), True)]),
        ([{"since": "2026-12-01"}], []),
    ],
)
def test_a_price_ends_when_it_was_promised_no_longer_or_nothing_follows(
    rows: list[dict[str, Any]], expected: list[tuple[datetime, bool]]
) -> None:
    told = [Ending("gpt-test", ends_at, promised) for ends_at, promised in expected]
    assert endings(a_book(*rows), "openai", "gpt-test", AT) == told
    assert endings(a_book(*rows), "openai", "gpt-test-2026-03-01", AT) == told, "a dated name is the same model"


def test_a_model_without_a_price_has_none_that_ends() -> None:
    assert endings(current_book(), "openai", "no-such-model", AT) == []


@pytest.fixture
def promised(noon: datetime, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """gpt-test costs what it costs for five more days."""
    until = noon + 5 * DAY
    monkeypatch.setattr(prices, "current_book", lambda: a_book({"recheck_after": until.isoformat()}))
    return until


def used(person: Person, at: datetime, model: str = "gpt-test", provider: str = "openai") -> None:
    HourlyUsage.objects.create(
        organization_id=person.organization.id, agent_id=person.agent.id, provider=provider, model=model, hour=at,
        call_count=1,
    )  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("provider", "model", "listed"),
    [("openai", "openai/gpt-test", "openai"), ("fast", "gpt-test", "groq"), ("fast", "fast/gpt-test", "groq"),
     ("europe", "prod", "azure"), ("europe", "europe/prod", "azure")],
)  # fmt: skip
def test_a_price_that_ends_is_told_by_whichever_name_the_model_is_asked_for(
    noon: datetime, monkeypatch: pytest.MonkeyPatch, provider: str, model: str, listed: str
) -> None:
    """A custom provider's models stand in the list under its kind's name, a deployment's under another model's."""
    row = {"provider": listed, "recheck_after": (noon + 5 * DAY).isoformat()}
    monkeypatch.setattr(prices, "current_book", lambda: a_book(row))
    alice, charlie = cast.alice(), cast.charlie()
    for name, preset, options in (("fast", "groq", {}), ("europe", "azure", {"deployments": {"prod": "gpt-test"}})):
        upstream = Upstream("https://llm.acme.example/v1", preset, options)
        connect(alice.organization, name, "sk-provider-0001", by=alice.user, upstream=upstream)
    for person in (alice, charlie):
        used(person, noon - DAY, model, provider)
    raising.raise_alerts(noon)
    told = [alert for alert in alerts(AlertKind.PRICE_EXPIRES) if alert.organization_id == alice.organization.id]
    assert [alert.subject for alert in told] == [f"{provider}/gpt-test"]
    assert len(alerts(AlertKind.PRICE_EXPIRES)) == (2 if provider == "openai" else 1)


@pytest.mark.django_db
def test_a_price_that_ends_within_a_week_is_told_once_to_those_who_use_the_model(
    noon: datetime, promised: datetime
) -> None:
    alice, charlie = cast.alice(), cast.charlie()
    used(alice, noon - 29 * DAY)
    used(alice, noon - DAY, model="gpt-4o")
    used(charlie, noon - 31 * DAY)
    for hours in (0, 1, 2, 30):
        raising.raise_alerts(noon + hours * HOUR)
    (alert,) = alerts(AlertKind.PRICE_EXPIRES)
    assert (alert.organization_id, alert.subject, alert.window_start) == (
        alice.organization.id, "openai/gpt-test", promised,
    )  # fmt: skip
    assert [row.address for row in alert.deliveries.all()] == [alice.user.email]
    day = f"{promised:%-d %B %Y}"
    assert letter(alert).subject == f"The price of gpt-test is known only until {day}"
    assert "dearest price that the list has ever had" in letter(alert).sentences[1]
    assert letter(alert).links[0].url.endswith("/settings/rates/")


@pytest.mark.django_db
def test_a_price_is_told_of_when_a_week_is_left_and_once_more_when_it_has_ended(
    noon: datetime, promised: datetime
) -> None:
    alice = cast.alice()
    used(alice, promised - 20 * DAY)
    for at, count in (
        (promised - 7 * DAY - 2 * HOUR, 0), (promised - 7 * DAY, 1), (promised - HOUR, 1), (promised, 2),
        (promised + 2 * HOUR, 2), (promised + 9 * DAY, 2),
    ):  # fmt: skip
        raising.raise_alerts(at)
        assert len(alerts(AlertKind.PRICE_EXPIRES)) == count
    last = alerts(AlertKind.PRICE_EXPIRES)[-1]
    assert letter(last).subject.startswith("The price of gpt-test was known only until")
    assert letter(last).sentences[1].startswith("Calls to it are now held at the dearest")


@pytest.mark.django_db
def test_a_model_that_is_first_used_after_the_end_of_its_price_is_told_of_once(
    noon: datetime, promised: datetime
) -> None:
    used(cast.alice(), promised + DAY)
    for hours in (0, 5):
        raising.raise_alerts(promised + DAY + hours * HOUR)
    assert [alert.facts["ended"] for alert in alerts(AlertKind.PRICE_EXPIRES)] == [True]


@pytest.mark.django_db
def test_a_price_that_is_followed_by_none_says_that_calls_will_be_refused(
    noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    until = noon + 5 * DAY
    monkeypatch.setattr(prices, "current_book", lambda: a_book({"until": until.isoformat()}))
    used(cast.alice(), noon)
    raising.raise_alerts(noon)
    (alert,) = alerts(AlertKind.PRICE_EXPIRES)
    assert "calls to it are refused" in letter(alert).sentences[1]


@pytest.mark.django_db
def test_who_has_a_rate_of_their_own_is_not_concerned(noon: datetime, promised: datetime) -> None:
    alice = cast.alice()
    used(alice, noon - DAY)
    own = CustomRate(
        organization=alice.organization, provider="openai", model="gpt-test", input_pico=USD, output_pico=USD
    )
    rates.set_rate(own, by=alice.user)
    raising.raise_alerts(noon)
    assert alerts(AlertKind.PRICE_EXPIRES) == []


@pytest.mark.django_db
def test_prices_are_looked_at_once_an_hour(noon: datetime, promised: datetime) -> None:
    alice = cast.alice()
    raising.raise_alerts(noon)
    used(alice, noon - DAY)
    raising.raise_alerts(noon + 59 * MINUTE)
    assert alerts(AlertKind.PRICE_EXPIRES) == []
    raising.raise_alerts(noon + HOUR)
    assert len(alerts(AlertKind.PRICE_EXPIRES)) == 1
    assert Mark.of(prices.MARK) == noon + HOUR
