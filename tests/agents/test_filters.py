"""The log's filters: what they keep, what they refuse, and the way out of each."""

from datetime import timedelta

import pytest
from django.http import QueryDict
from django.utils import timezone

from accounts.credentials import Upstream, connect
from agents import budgets
from agents.days import Period
from agents.filters import CallFilter, RangeForm, chips, without
from agents.models import Call, CallStatus
from agents.reports.calls import rows_between
from tests import cast
from tests.agents.pages_house import CENT, book_call, refuse_call

pytestmark = pytest.mark.django_db


def _found(person: cast.Person, query: str) -> CallFilter:
    now = timezone.now()
    rows = rows_between(person.organization, Period(now - timedelta(hours=1), now + timedelta(minutes=1)))
    return CallFilter(QueryDict(query), rows, organization=person.organization)


def _ids(person: cast.Person, query: str) -> set[object]:
    return {call.call_id for call in _found(person, query).qs}


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("model=gpt-4o-mini", {"model": "gpt-4o-mini"}),
        ("model=gpt-4o-2024", {"model": "gpt-4o", "served_model": "gpt-4o-2024"}),
        ("provider=anthropic", {"provider": "anthropic", "model": "claude-haiku-4-5"}),
        ("session=run-7", {"session": "run-7", "model": "x"}),
        ("user=u%261", {"user_subject": "u&1", "model": "x"}),
        ("cost_min=0.05", {"cost_pico": 5 * CENT, "model": "x"}),
        ("cost_max=0.001", {"cost_pico": CENT // 10, "model": "x"}),
        ("q=REQ_abc", {"provider_request_id": "req_abc9", "model": "x"}),
        ("status=cached", {"status": CallStatus.CACHED, "model": "x", "cost_pico": 0}),
        ("status=failed", {"failed": True, "status": CallStatus.VOIDED, "model": "x", "cost_pico": 0}),
        ("model=gpt-4o-mini&cost_max=0.02&session=a", {"session": "a"}),
    ],
)
def test_a_filter_keeps_what_it_names(query: str, fields: dict[str, object]) -> None:
    alice = cast.alice()
    other = book_call(alice, model="other", provider="google", cost_pico=2 * CENT)
    wanted = book_call(alice, **fields)  # type: ignore[arg-type]
    assert _ids(alice, query) == {wanted.call_id}
    assert _ids(alice, "") == {wanted.call_id, other.call_id}


def test_refusals_are_not_failures() -> None:
    alice = cast.alice()
    refused = refuse_call(alice, failed=True)
    assert _ids(alice, "status=refused") == {refused.call_id}
    assert _ids(alice, "status=failed") == set()


def test_a_call_is_found_by_its_id() -> None:
    alice = cast.alice()
    wanted, _ = book_call(alice), book_call(alice)
    assert _ids(alice, f"q={wanted.call_id}") == {wanted.call_id}


def test_a_percent_sign_is_not_a_wildcard() -> None:
    alice = cast.alice()
    book_call(alice, session="plain")
    assert _ids(alice, "q=%25") == set()


def test_another_organisations_agent_cannot_be_chosen() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    book_call(charlie)
    found = _found(alice, f"agent={charlie.agent.id}")
    assert not found.form.is_valid()
    assert "newsletter" not in str(found.form["agent"])


@pytest.mark.parametrize(
    "query", ["cost_min=-7", "cost_max=10,5", "cost_min=NaN", "status=gone", "agent=x", "model=%00"]
)
def test_a_bad_value_is_named_at_its_field(query: str) -> None:
    found = _found(cast.alice(), query)
    assert not found.form.is_valid()
    assert list(found.form.errors) == [query.partition("=")[0]]


def test_every_filter_in_force_has_a_way_out() -> None:
    alice = cast.alice()
    query = f"range=7d&agent={alice.agent.id}&status=refused&cost_min=0.5&before=x"
    found = _found(alice, query)
    assert found.form.is_valid()
    shown = {chip.name: chip for chip in chips(found, QueryDict(query))}
    assert {name: chip.value for name, chip in shown.items()} == {
        "Agent": "support-triage", "Status": "Refused", "Cost from": "$0.50",
    }  # fmt: skip
    assert shown["Status"].query == f"range=7d&agent={alice.agent.id}&cost_min=0.5"


def test_a_query_without_a_name_also_loses_its_cursor() -> None:
    assert without(QueryDict("a=1&before=2&b=3&after=4"), "a") == "b=3"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("range=custom", "since"),
        ("range=custom&since=2026-01-02&until=2026-01-01", "until"),
        ("range=custom&since=2024-01-01&until=2026-01-01", "until"),
        ("range=custom&since=0001-01-01&until=0001-01-02", "since"),
        ("range=custom&since=yesterday&until=2026-01-01", "since"),
        ("range=2h", "range"),
    ],
)
def test_a_range_that_cannot_be_is_named(query: str, field: str) -> None:
    form = RangeForm(QueryDict(query))
    assert not form.is_valid()
    assert field in form.errors


def test_custom_days_are_whole_days_of_the_zone() -> None:
    form = RangeForm(QueryDict("range=custom&since=2026-10-25&until=2026-10-25"))
    assert form.is_valid()
    period = form.period("Europe/Berlin", timezone.now())
    assert period.end_at - period.start_at == timedelta(hours=25)


def test_a_hidden_agent_stays_out_of_other_organisations_choices() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    budgets.create_agent(charlie.organization, "secret-plan", daily_limit_pico=1, by=None)
    _found(charlie, "").form["agent"].as_widget()
    assert "secret-plan" not in str(_found(alice, "").form["agent"])
    assert Call.objects.count() == 0


def test_the_log_is_filtered_by_a_provider_that_the_organisation_connected_itself() -> None:
    alice, charlie = cast.alice(), cast.charlie()
    upstream = Upstream("https://llm.example.com/v1", "other")
    connect(alice.organization, "fast", "sk-0123", by=alice.user, upstream=upstream)
    mine = book_call(alice, provider="fast", model="acme-70b")
    book_call(alice)
    assert _ids(alice, "provider=fast") == {mine.call_id}
    assert "provider" in _found(charlie, "provider=fast").form.errors
