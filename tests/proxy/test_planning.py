"""Who answers is worked out once for each snapshot of a caller and model, and never outlives either."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from accounts.credentials import OpenCredential
from accounts.ids import uuid7
from agents.callers import Caller, OwnKey
from agents.models import CustomRate, Guards
from agents.pricebook import current_book
from agents.pricing import Bound
from proxy.bounds import CAP_MAX
from proxy.errors import ProviderNotConnected, UnpricedModel
from proxy.planning import KEPT_NAME_LENGTH_MAX, TARGETS_MAX, Plan, choose_target, make_plan
from proxy.prices import Prices
from proxy.providers.endpoints import Route
from proxy.providers.model_request import NOTHING, ModelRequest
from proxy.providers.openai import chat
from proxy.providers.outgoing import Outgoing
from proxy.providers.targets import Target
from proxy.providers.traits import Traits

ROUTE = Route(chat.CHAT)
MINI = "gpt-4o-mini"
NOW = datetime(2026, 11, 20, tzinfo=UTC)


def caller_with(*providers: str, **facts: Any) -> Caller:
    """A snapshot of an agent whose organisation has connected these providers."""
    known: dict[str, Any] = {
        "organization_id": uuid7(), "organization_name": "Acme Robotics", "time_zone": "UTC", "agent_id": uuid7(),
        "organization_version": 1, "agent_slug": "support-triage", "agent_name": "support-triage", "agent_version": 1,
        "paused": False, "default_output": 4096, "refusal_status": 429, "key_id": 1, "practice": False, "rates": (),
        "expires_at": None, "blocked_until": None, "blocked_rule": "", "guards": Guards(), "budgets": (),
        "credentials": {name: OpenCredential(uuid4(), name, "", "sk") for name in providers},
    }  # fmt: skip
    return Caller(**(known | facts))


def plan_of(prices: Prices, caller: Caller, model: str = MINI, **facts: Any) -> Plan:
    request = ModelRequest(endpoint=chat.CHAT, model=model, body={"model": model, "messages": []}, **facts)
    return make_plan(prices, caller, ROUTE, request, now=NOW, seconds_max=60)


@pytest.fixture
def prices() -> Prices:
    return Prices(current_book())


def test_the_second_call_of_a_snapshot_finds_the_target_of_the_first(prices: Prices) -> None:
    caller = caller_with("openai")
    assert choose_target(prices, caller, ROUTE, MINI) is choose_target(prices, caller, ROUTE, MINI)


def test_a_snapshot_without_the_provider_is_refused_whatever_another_found(prices: Prices) -> None:
    caller = caller_with("openai")
    choose_target(prices, caller, ROUTE, MINI)
    with pytest.raises(ProviderNotConnected):
        choose_target(prices, replace(caller, credentials={}), ROUTE, MINI)


def test_a_key_of_its_own_for_one_call_finds_nothing_of_the_others(prices: Prices) -> None:
    caller = caller_with("openai", "google")
    choose_target(prices, caller, ROUTE, MINI)
    with pytest.raises(ProviderNotConnected):
        choose_target(prices, replace(caller, own_key=OwnKey("google", "g")).with_own_key(MINI), ROUTE, MINI)


def test_two_books_do_not_share_what_they_know(prices: Prices) -> None:
    caller = caller_with("openai")
    choose_target(prices, caller, ROUTE, MINI)
    with pytest.raises(UnpricedModel):
        choose_target(Prices(type(current_book())((), "empty")), caller, ROUTE, MINI)


def test_a_model_in_quarantine_is_refused_although_its_target_is_known(prices: Prices) -> None:
    caller = caller_with("openai")
    plan = plan_of(prices, caller)
    prices.compare_bound(plan.rows[0], plan.target.listing, counted=False, bound_tokens=1, actual_tokens=2)
    with pytest.raises(UnpricedModel):
        plan_of(prices, caller)


def test_a_refusal_is_not_remembered() -> None:
    caller, empty = caller_with("openai"), Prices(type(current_book())((), "empty"))
    for _ in range(2):
        with pytest.raises(UnpricedModel):
            choose_target(empty, caller, ROUTE, MINI)
    assert not caller.derived


def test_what_a_snapshot_keeps_has_an_end(prices: Prices) -> None:
    caller = caller_with("openai", rates=(CustomRate(provider="openai", model="m" * (KEPT_NAME_LENGTH_MAX + 1)),))
    for day in range(10, 10 + TARGETS_MAX + 1):
        choose_target(prices, caller, ROUTE, f"{MINI}-2024-07-{day}")
    assert len(caller.derived) == 1
    choose_target(prices, caller, ROUTE, "m" * (KEPT_NAME_LENGTH_MAX + 1))
    assert len(caller.derived) == 1


def test_a_request_says_in_whose_form_its_usage_comes_once_that_is_known() -> None:
    request = ModelRequest(endpoint=chat.CHAT, model=MINI, body={}, user="u")
    assert request.answered_by(Traits(usage_of="xai")) == replace(request, usage_of="xai")
    assert request.answered_by(Traits(pins_tier=True)) is request
    assert request.answered_by(Traits(usage_of="xai")).answered_by(Traits()) == request


@pytest.mark.parametrize("beside", [NOTHING, Bound(0, 0, characters=5, has_audio_output=True)])
@pytest.mark.parametrize("output_cap", [None, 16, CAP_MAX])
def test_a_bound_holds_what_stands_beside_the_tokens(beside: Bound, output_cap: int | None) -> None:
    request = ModelRequest(
        endpoint=chat.CHAT, model=MINI, body={}, output_cap=output_cap, beside=beside, choices=2, cache_ttl_long=True,
        extra_output_tokens=1, hosted_tools={"web_search": 2},
    )  # fmt: skip
    outgoing = Outgoing(request, Target("openai", MINI), b"{}", input_tokens=10, cap_field="max_tokens")
    added = len(',"max_tokens":16') if output_cap is None else 0
    expected = replace(beside, input_tokens=10 + added, output_tokens=34, cache_ttl_long=True, tools={"web_search": 2})
    assert outgoing.bound(16) == expected
