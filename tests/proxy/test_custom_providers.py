"""Providers that an organisation connected itself, on the whole way of a call (W4)."""

from typing import Any

import orjson
import pytest

from accounts import credentials
from accounts.credentials import Upstream
from accounts.models import ProviderCredential
from agents import pins, rates
from agents.audit import audit
from agents.models import CustomRate
from agents.money import parse_usd
from tests.accounts.test_settings_pages import browser
from tests.proxy.stage import PROVIDER_KEY, Stage, Worker, all_settled, settled

MODEL = "acme-support-70b"
DEAR = "gpt-6-luna"
VAST = "acme-golden-1b"


@pytest.fixture(scope="module")
def connected(whole_stage: Stage) -> Stage:
    """Acme's own providers, all at the fake: a server of its own, Azure in both forms, and one with a stale key."""
    organization, user, fake = whole_stage.alice.organization, whole_stage.alice.user, whole_stage.fake
    local = Upstream(fake.openai_base_url, "vllm")
    azure = Upstream(fake.openai_base_url, "azure", {"deployments": {"gpt-4o-mini": "gpt-4o-mini"}})
    older = Upstream(fake.url, "azure", {"deployments": {"gpt-4o": "gpt-4o"}, "api_version": "2024-10-21"})
    for name, key, upstream in (
        ("fast", PROVIDER_KEY, local), ("europe", PROVIDER_KEY, azure), ("older", PROVIDER_KEY, older),
        ("stale", "sk-stale", local), ("router", PROVIDER_KEY, Upstream(fake.openai_base_url, "openrouter")),
    ):  # fmt: skip
        credentials.connect(organization, name, key, by=user, upstream=upstream)
    credentials.connect(organization, "stale", PROVIDER_KEY, by=user, label="renewed", upstream=local)
    for provider, model, usd, out in (
        ("fast", MODEL, "0.25", "1"), ("fast", DEAR, "9000", "9000"),
        ("fast", VAST, "1000", "0"), ("router", "acme-routed-7b", "0.25", "1"), ("stale", "acme-free-7b", "0", "0"),
    ):  # fmt: skip
        prices = {"input_pico": parse_usd(usd), "output_pico": parse_usd(out)}
        rates.set_rate(CustomRate(organization=organization, provider=provider, model=model, **prices), by=user)
    return whole_stage


@pytest.fixture
def on(connected: Stage) -> Stage:
    connected.fake.reset()
    return connected


def body(model: str, words: str = "tokens_in=40 tokens_out=20", **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 30, "messages": [{"role": "user", "content": f"Hello [[{words}]]"}], **more}


def ask(on: Stage, worker: Worker, model: str, words: str = "tokens_in=40 tokens_out=20", **more: Any) -> Any:
    return on.post(worker.key, json=body(model, words, **more))


@pytest.mark.parametrize("model", [MODEL, f"fast/{MODEL}"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_call_costs_what_the_provider_bills_at_the_organisations_rate(on: Stage, model: str, stream: bool) -> None:
    """W4, scenarios B5 and B7."""
    worker = on.worker()
    answer = ask(on, worker, model, stream=stream)
    assert answer.status_code == 200
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.provider, row.model, row.basis) == ("fast", model, "usage")
    assert row.cost_pico == on.fake.billed_pico() == 40 * 250_000 + 20 * 1_000_000
    assert worker.spent_pico == row.cost_pico
    (request,) = on.fake.log()
    assert request["headers"]["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert f'"model":"{MODEL}"' in request["body"]
    if stream:
        assert b'"usage"' not in answer.content


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_is_one_row_and_one_charge_also_where_openai_does_not_answer(on: Stage, stream: bool) -> None:
    """Scenarios B12 and B13: not bridged to a chat, and free to read again."""
    worker = on.worker()
    asked = {"model": MODEL, "max_output_tokens": 30, "input": "Hello [[tokens_in=40 tokens_out=20]]", "stream": stream}
    answer = on.post(worker.key, "/v1/responses", json=asked)
    assert answer.status_code == 200
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.provider, row.endpoint, row.basis) == ("fast", "responses", "usage")
    assert row.cost_pico == worker.spent_pico == on.fake.billed_pico() == 40 * 250_000 + 20 * 1_000_000
    if not stream:
        assert on.get(worker.key, f"/v1/responses/{answer.json()['id']}").status_code == 200
    assert len(worker.calls()) == 1


def test_an_older_azure_address_has_no_responses(on: Stage) -> None:
    answer = on.post(on.worker().key, "/v1/responses", json={"model": "older/gpt-4o", "input": "Hello"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "unsupported_endpoint")


@pytest.mark.parametrize(
    ("model", "path", "query", "usd"),
    [
        ("europe/gpt-4o-mini", "/v1/chat/completions", "", 40 * 150_000 + 20 * 600_000),
        ("older/gpt-4o", "/openai/deployments/gpt-4o/chat/completions", "api-version=2024-10-21", 300_000_000),
    ],
)
def test_azure_is_called_and_priced_in_both_its_forms(on: Stage, model: str, path: str, query: str, usd: int) -> None:
    answer = ask(on, on.worker(), model)
    row = settled(answer.headers["x-awx-call-id"])
    assert (answer.status_code, row.basis) == (200, "usage")
    assert row.cost_pico == on.fake.billed_pico() == usd
    (request,) = on.fake.log()
    assert (request["path"], request["query"]) == (path, query)
    assert request["headers"]["api-key"] == PROVIDER_KEY
    assert "authorization" not in request["headers"]
    assert row.pricing["listed"] == ["azure", model.partition("/")[2]]
    assert row.pricing["row"].startswith("azure/")
    page = browser(on.alice).get(f"/calls/{row.call_id}/").content.decode()
    assert row.pricing["row"] in page


def test_what_azures_filter_stops_is_charged_for_its_input(on: Stage) -> None:
    """metering.md 1.3, az-02."""
    worker = on.worker()
    answer = ask(on, worker, "europe/gpt-4o-mini", "status=400 code=content_filter")
    assert (answer.status_code, answer.headers["x-should-retry"]) == (400, "false")
    assert answer.json()["error"]["code"] == "content_filter"
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.basis, row.reason, row.output_tokens) == ("estimated", "provider_400", 0)
    assert row.cost_pico == row.input_tokens * 150_000 > 0
    assert worker.spent_pico == row.cost_pico < row.held_pico
    assert worker.held_pico == 0


def test_what_azure_turns_away_by_its_form_costs_nothing(on: Stage) -> None:
    worker = on.worker()
    answer = ask(on, worker, "europe/gpt-4o-mini", "status=400 code=unsupported_parameter")
    row = settled(answer.headers["x-awx-call-id"])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert (row.basis, row.reason, row.cost_pico) == ("none", "provider_400", 0)
    assert (worker.spent_pico, worker.held_pico) == (0, 0)


def test_what_a_moderator_turns_away_says_nothing_about_the_key(on: Stage) -> None:
    """OpenRouter's 403: one prompt must not have an admin told that the organisation's key is rejected."""
    answer = ask(on, on.worker(), "router/acme-routed-7b", "status=403 code=content_policy_violation")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "content_policy_violation")
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.basis, row.reason, row.cost_pico) == ("none", "provider_403", 0)
    refused = ask(on, on.worker(), f"fast/{MODEL}", "status=403")
    assert (refused.status_code, settled(refused.headers["x-awx-call-id"]).reason) == (502, "provider_key_rejected")


def test_an_error_of_any_other_provider_costs_nothing(on: Stage) -> None:
    worker = on.worker()
    answer = ask(on, worker, MODEL, "status=400 code=content_filter")
    row = settled(answer.headers["x-awx-call-id"])
    assert (answer.status_code, row.basis, row.cost_pico) == (400, "none", 0)
    assert (worker.spent_pico, worker.held_pico) == (0, 0)


@pytest.mark.parametrize(("model", "charged"), [("europe/gpt-4o-mini", True), (MODEL, False)])
def test_a_failure_of_azures_is_charged_since_it_may_have_worked(on: Stage, model: str, charged: bool) -> None:
    answer = ask(on, on.worker(), model, "status=500")
    row = settled(answer.headers["x-awx-call-id"])
    assert answer.status_code == 500
    assert row.cost_pico == (row.held_pico if charged else 0)


def test_a_bill_beyond_what_any_call_can_cost_is_booked_as_its_ceiling(on: Stage) -> None:
    """Ten million dollars are no number for the book: the row must not wait for the call to expire."""
    worker = on.worker()
    answer = ask(on, worker, VAST, "tokens_in=10 tokens_out=1 usage=vast")
    row = settled(answer.headers["x-awx-call-id"])
    assert (answer.status_code, row.basis, row.reason) == (200, "estimated", "impossible_bill")
    assert row.cost_pico == row.held_pico == worker.spent_pico > 0
    assert worker.held_pico == 0
    refused = ask(on, on.worker(), VAST)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "unpriced_model")


def test_a_heap_of_strange_usage_fills_no_book(on: Stage) -> None:
    """What a provider answers is anybody's text, and all organisations' rows travel together."""
    answer = ask(on, on.worker(), MODEL, "usage=heap")
    row = settled(answer.headers["x-awx-call-id"])
    assert (answer.status_code, row.basis, row.cost_pico) == (200, "usage", row.held_pico)
    assert row.facts["flags"] == ["unknown_usage_key"]
    assert len(orjson.dumps([row.facts, row.pricing])) < 6_000


def test_more_tool_calls_than_a_row_counts_cost_no_fact(on: Stage) -> None:
    answer = ask(on, on.worker(), MODEL, "tool_calls=40000 tokens_in=40 tokens_out=20")
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.basis, row.reason, row.provider, row.tool_call_count) == ("usage", "", "fast", 2**15 - 1)


def test_a_model_without_a_price_is_refused_with_the_page_that_gives_it_one(on: Stage) -> None:
    """Scenario B6."""
    answer = ask(on, on.worker(), "fast/unheard-of")
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "unpriced_model")
    assert "/settings/rates/?provider=fast&model=unheard-of" in answer.json()["error"]["message"]
    assert on.fake.stats()["requests"] == 0


def test_a_custom_price_is_checked_before_the_first_call(on: Stage) -> None:
    """Scenario B7."""
    answer = ask(on, on.worker("0.02"), f"fast/{DEAR}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "insufficient_quota")
    assert on.fake.stats()["requests"] == 0


def test_two_providers_with_the_model_are_named(on: Stage) -> None:
    """W4."""
    answer = ask(on, on.worker(), "gpt-4o-mini")
    assert answer.status_code == 400
    assert "openai/gpt-4o-mini and europe/gpt-4o-mini" in answer.json()["error"]["message"]


def test_the_list_of_models_says_how_each_is_reached(on: Stage) -> None:
    worker = on.worker()
    listed = {model["id"] for model in on.get(worker.key, "/v1/models").json()["data"]}
    assert {MODEL, "openai/gpt-4o-mini", "europe/gpt-4o-mini", "older/gpt-4o", "openai/gpt-4o"} <= listed
    assert not {"gpt-4o-mini", "gpt-4o", f"fast/{MODEL}", "azure/gpt-4o"} & listed
    assert {model["id"] for model in on.get(on.charlie.live_key, "/v1/models").json()["data"]} == set()


def test_a_key_that_its_provider_rejects_is_a_502_that_says_so(on: Stage) -> None:
    worker = on.worker()
    answer = ask(on, worker, "acme-free-7b")
    assert answer.status_code == 502
    assert "stale" in answer.json()["error"]["message"]
    assert "sk-" not in answer.text
    assert settled(answer.headers["x-awx-call-id"]).reason == "provider_key_rejected"


def test_an_agent_that_is_pinned_to_another_key_is_sent_with_it(on: Stage) -> None:
    """W4."""
    worker = on.worker()
    renewed = ProviderCredential.objects.get(label="renewed")
    pins.pin(worker.agent, {"stale": renewed}, by=on.alice.user)
    assert ask(on, worker, "acme-free-7b").status_code == 200


def test_charlie_reaches_none_of_acmes_providers(on: Stage) -> None:
    for model in (f"fast/{MODEL}", MODEL, "europe/gpt-4o-mini"):
        answer = on.post(on.charlie.live_key, json=body(model))
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "unpriced_model")
    assert on.fake.stats()["requests"] == 0


def test_a_test_key_reaches_a_custom_providers_model_in_the_sandbox(on: Stage) -> None:
    answer = on.post(on.alice.test_key, json=body(f"fast/{MODEL}"))
    assert answer.status_code == 200
    assert on.fake.stats()["requests"] == 0


def test_every_row_of_these_tests_can_be_priced_again(on: Stage) -> None:
    ask(on, on.worker(), MODEL)
    ask(on, on.worker(), "europe/gpt-4o-mini")
    ask(on, on.worker(), "europe/gpt-4o-mini", "status=400 code=content_filter")
    all_settled()
    checks = {check.name: check for check in audit().checks}
    assert [breach for check in checks.values() for breach in check.breaches] == []
    assert checks["prices"].examined_count >= 3
