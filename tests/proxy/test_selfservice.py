"""What an agent may ask about itself, and what Charlie may not."""

from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from accounts.ids import uuid7
from agents import budgets, keys
from agents.audit import audit
from agents.budget_terms import BudgetTerms
from agents.models import AgentKey, Balance
from agents.money import PICO_PER_USD
from tests.proxy.stage import Stage, settled

BODY: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hello [[tokens_out=20]]"}],
    "max_tokens": 30,
}


def test_the_budget_says_what_is_left_in_exact_numbers(on: Stage) -> None:
    worker = on.worker("2.5")
    call_id = on.post(worker.key, json=BODY).headers["x-awx-call-id"]
    row = settled(call_id)
    answer = on.get(worker.key, "/v1/budget").json()
    assert answer["agent"] == worker.agent.slug
    own = next(budget for budget in answer["budgets"] if budget["scope"] == "agent")
    assert own["name"] == worker.agent.name
    assert (own["unit"], own["window"], own["mode"]) == ("usd", "day", "hard")
    assert own["limit"] == "2.500000"
    assert float(own["spent"]) == row.cost_pico / 10**12
    assert float(own["held"]) == 0
    assert float(own["available"]) == pytest.approx(2.5 - row.cost_pico / 10**12)
    assert own["resets_at"].endswith("T00:00:00+00:00")


def test_it_answers_also_when_the_budget_is_gone(on: Stage) -> None:
    """A16: clients that list models before they start must be able to start."""
    worker = on.worker("0")
    assert on.post(worker.key, json=BODY).status_code == 429
    assert on.get(worker.key, "/v1/budget").status_code == 200
    assert on.get(worker.key, "/v1/models").status_code == 200


def test_a_call_shows_its_cost_basis_and_usage(on: Stage) -> None:
    worker = on.worker()
    call_id = on.post(worker.key, json=BODY).headers["x-awx-call-id"]
    row = settled(call_id)
    answer = on.get(worker.key, f"/v1/calls/{call_id}").json()
    assert (answer["call_id"], answer["status"], answer["basis"]) == (call_id, "settled", "usage")
    assert float(answer["cost"]) == row.cost_pico / 10**12 > 0
    assert answer["usage"]["output_tokens"] == 20
    assert answer["model"] == "gpt-4o-mini"


def test_charlie_and_colleagues_do_not_see_the_call(on: Stage) -> None:
    call_id = on.post(on.worker().key, json=BODY).headers["x-awx-call-id"]
    settled(call_id)
    for key in (on.charlie.live_key, on.charlie.test_key, on.worker().key):
        assert on.get(key, f"/v1/calls/{call_id}").status_code == 404


@pytest.mark.parametrize("text", ["nonsense", "00000000-0000-7000-8000-000000000000", "..", "%00"])
def test_what_is_no_call_is_not_found(on: Stage, text: str) -> None:
    assert on.get(on.worker().key, f"/v1/calls/{text}").status_code == 404


@pytest.mark.parametrize("path", ["/v1/budget", "/v1/calls/01a2020f-0000-7000-8000-000000000000", "/v1/models"])
def test_nothing_is_told_without_a_key(on: Stage, path: str) -> None:
    assert on.get("nonsense", path).status_code == 401


def test_a_provider_that_is_not_connected_lists_no_models(on: Stage) -> None:
    assert on.get(on.charlie.live_key, "/v1/models").json()["data"] == []
    assert on.get(on.charlie.test_key, "/v1/models").json()["data"] != []


def test_an_unknown_model_is_not_found(on: Stage) -> None:
    assert on.get(on.worker().key, "/v1/models/gpt-99-nonsense").status_code == 404


def test_the_budget_shows_the_session_that_is_asked_about(on: Stage) -> None:
    worker = on.worker()
    names = {"x-awx-session-id": "run-1", "x-awx-session-budget": "1"}
    settled(on.post(worker.key, json=BODY, headers=names).headers["x-awx-call-id"])
    url = f"{on.server.address}/proxy/v1/budget"
    answer = httpx.get(url, headers={"authorization": f"Bearer {worker.key}", "x-awx-session-id": "run-1"}).json()
    [session] = [budget for budget in answer["budgets"] if budget["scope"] == "session"]
    assert (session["name"], session["window"], session["limit"]) == ("run-1", "session", None)
    assert float(session["spent"]) > 0


def test_an_estimate_reserves_nothing_and_says_whether_the_call_would_pass(on: Stage) -> None:
    worker, before = on.worker("0.00007"), on.fake.stats()["requests"]
    fits = on.post(worker.key, "/v1/estimate", json=BODY).json()
    assert fits["admitted"]
    assert fits["refusal"] is None
    assert 0 < float(fits["ceiling"]) <= 0.00007
    assert (fits["provider"], fits["model"], fits["output_tokens_max"]) == ("openai", "gpt-4o-mini", 30)
    dear = on.post(worker.key, "/v1/estimate", json=BODY | {"max_tokens": 4000}).json()
    assert not dear["admitted"]
    assert dear["refusal"]["reason"] == "call_too_expensive"
    capped = on.post(worker.key, "/v1/estimate", json=BODY, headers={"x-awx-daily-budget": "0.00001"}).json()
    assert not capped["admitted"]
    assert on.post(worker.key, "/v1/estimate", json={"model": "gpt-99", "messages": []}).status_code in (400, 403)
    assert on.fake.stats()["requests"] == before
    assert worker.held_pico == worker.spent_pico == 0
    call_id = on.post(worker.key, json=BODY).headers["x-awx-call-id"]
    assert settled(call_id).held_pico == round(float(fits["ceiling"]) * 10**12)


def usage_of(call_id: str | None = None, **fields: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    said: dict[str, Any] = {"provider": "openai", "model": "gpt-4o-mini", "usage": usage} | fields
    return said if call_id is None else said | {"call_id": call_id}


@pytest.mark.parametrize(
    "brought",
    [
        {"x-awx-session-id": "run-1", "x-awx-session-budget": "0.00001"},
        {"x-awx-agent-id": "helper", "x-awx-daily-budget": "0.00001"},
    ],
)
def test_an_estimate_holds_limits_that_no_call_brought_before(on: Stage, brought: dict[str, str]) -> None:
    worker = on.worker()
    told = on.post(worker.key, "/v1/estimate", json=BODY, headers=brought).json()
    assert (told["admitted"], told["refusal"]["reason"]) == (False, "call_too_expensive")
    refused = on.post(worker.key, "/v1/chat/completions", json=BODY, headers=brought)
    assert refused.json()["error"]["awx"]["reason"] == "call_too_expensive"
    assert on.post(worker.key, "/v1/estimate", json=BODY).json()["admitted"]


def test_an_estimate_may_name_the_path_that_its_body_is_for(on: Stage) -> None:
    worker = on.worker()
    gemini = "/v1/estimate?path=/proxy/gemini/v1beta/models/gemini-2.5-flash:generateContent"
    answer = on.post(worker.key, gemini, json={"contents": [{"parts": [{"text": "Hello"}]}]}).json()
    assert (answer["provider"], answer["admitted"]) == ("google", True)
    assert Decimal(answer["ceiling"]) > 0
    for path in ("/v1/messages/count_tokens", "/v1/nowhere", "https://api.openai.com/v1/embeddings"):
        wrong = on.post(worker.key, f"/v1/estimate?path={path}", json={})
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "path")
        assert path in wrong.json()["error"]["message"]
    assert on.post(worker.key, "/v1/estimate?path=/v1/files", json={}).status_code == 403
    assert on.fake.stats()["requests"] == 0


def test_an_estimate_knows_a_message_whatever_the_key_stands_in(on: Stage) -> None:
    worker, body = on.worker(), BODY | {"model": "claude-haiku-4-5", "system": "Be brief."}
    for headers in ({}, {"anthropic-version": "2023-06-01"}):
        told = on.post(worker.key, "/v1/estimate", json=body, headers=headers).json()
        assert (told["provider"], told["admitted"]) == ("anthropic", True)
    unknown = on.post(worker.key, "/v1/estimate", json=body | {"model": "claude-nonsense"})
    assert unknown.json()["error"]["code"] == "unpriced_model"


def test_a_call_made_elsewhere_is_booked_once_whatever_the_budget_says(on: Stage) -> None:
    worker, call_id = on.worker("0.0001"), str(uuid7())
    first = on.post(worker.key, "/v1/usage", json=usage_of(call_id), headers={"x-awx-session-id": "run-9"})
    assert (first.status_code, first.json()["recorded"], first.json()["cost"]) == (201, True, "0.000450")
    again = on.post(worker.key, "/v1/usage", json=usage_of(call_id))
    assert (again.status_code, again.json()["recorded"]) == (200, False)
    assert worker.spent_pico == 450_000_000
    [row] = worker.calls()
    assert (row.session, row.endpoint, row.tokens) == ("run-9", "usage", 1500)
    assert on.post(worker.key, json=BODY).status_code == 429
    other = on.post(worker.key, "/v1/usage", json=usage_of(call_id, model="gpt-4o"))
    assert (other.status_code, other.json()["error"]["param"]) == (400, "call_id")


@pytest.mark.parametrize(
    ("said", "param"),
    [
        (usage_of(price="1"), "price"),
        (usage_of(cost_usd="1"), "usage"),
        (usage_of(usage={"prompt_tokens": -1, "completion_tokens": 1}), "usage"),
        (usage_of(usage=[]), "usage"),
        (usage_of(context=[]), "usage"),
        (usage_of(context={"geo_mult": "-5"}), "context"),
        (usage_of(context={"geo_mult": "1e999999999"}), "context"),
        (usage_of(call_id="b4f3c1de-0000-4000-8000-000000000000"), "call_id"),
        (usage_of(call_id="00000000-0000-7000-8000-000000000000"), "call_id"),
        (usage_of(model=7), "model"),
        ({"model": "x", "provider": "own", "cost_usd": "-1"}, "cost_usd"),
        ({"model": "x", "provider": "own", "cost_usd": 1.5}, "cost_usd"),
    ],
)
def test_usage_that_cannot_be_booked_is_refused_by_field(on: Stage, said: dict[str, Any], param: str) -> None:
    worker = on.worker()
    answer = on.post(worker.key, "/v1/usage", json=said)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert worker.calls() == []


def test_usage_counts_against_what_was_changed_a_moment_ago(on: Stage) -> None:
    worker = on.worker()
    week, total = (BudgetTerms(scope="agent", window=window, limit=None) for window in ("week", "total"))
    assert on.get(worker.key, "/v1/budget").status_code == 200  # the process knows the agent as it is now
    new = budgets.create_budget(on.alice.organization, worker.agent, week, None)
    assert on.post(worker.key, "/v1/usage", json=usage_of()).status_code == 201
    assert Balance.objects.get(budget=new, practice=False).spent == 450_000_000
    budgets.pause(worker.agent, by=None)
    new = budgets.create_budget(on.alice.organization, worker.agent, total, None)
    assert on.post(worker.key, "/v1/usage", json=usage_of()).status_code == 201
    assert Balance.objects.get(budget=new, practice=False).spent == 900_000_000
    assert [check.breaches for check in audit().checks if check.name == "windows"] == [[]]
    keys.revoke(AgentKey.objects.get(agent=worker.agent), by=on.alice.user)
    assert on.post(worker.key, "/v1/usage", json=usage_of()).status_code == 401


def test_usage_counts_against_a_budget_per_model_under_every_name_of_the_model(on: Stage) -> None:
    worker = on.worker()
    terms = BudgetTerms(scope="model", limit=PICO_PER_USD)
    budget = budgets.create_budget(on.alice.organization, worker.agent, terms, None)
    for name in ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"):
        assert on.post(worker.key, "/v1/usage", json=usage_of(model=name)).status_code == 201
    assert [(one.subject, one.spent) for one in Balance.objects.filter(budget=budget)] == [("gpt-4o-mini", 900_000_000)]


def test_usage_of_a_model_without_a_price_needs_a_cost(on: Stage) -> None:
    worker = on.worker()
    assert on.post(worker.key, "/v1/usage", json=usage_of(model="gpt-99")).status_code == 403
    said = {"model": "llama", "provider": "own", "cost_usd": "0.25"}
    assert on.post(worker.key, "/v1/usage", json=said).json()["cost"] == "0.250000"
    assert worker.spent_pico == 250_000_000_000


def test_a_session_sums_up_its_calls(on: Stage) -> None:
    worker = on.worker()
    names = {"x-awx-session-id": "job 1"}
    rows = [settled(on.post(worker.key, json=BODY, headers=names).headers["x-awx-call-id"]) for _ in range(2)]
    on.post(worker.key, json=BODY | {"model": "gpt-99"}, headers=names)
    answer = on.get(worker.key, "/v1/sessions/job%201").json()
    assert (answer["calls"], answer["running"]) == (2, 0)
    assert round(float(answer["cost"]) * 10**12) == sum(row.cost_pico for row in rows)
    assert round(float(answer["average_cost"]) * 10**12) == rows[0].cost_pico
    assert answer["tokens"] == sum(row.tokens for row in rows)
    for key in (on.charlie.live_key, on.worker().key):
        assert on.get(key, "/v1/sessions/job%201").status_code == 404
        assert on.post(key, "/v1/sessions/job%201/reset").json()["reset_budgets"] == 0


@pytest.mark.parametrize("name", ["team/run 7", "50%25", "a%2Fb", "x/reset", "?#"])
def test_a_session_of_any_name_is_found_and_reset_by_that_name(on: Stage, name: str) -> None:
    worker = on.worker()
    names, path = {"x-awx-session-id": name, "x-awx-session-budget": "1"}, f"/v1/sessions/{quote(name, safe='')}"
    settled(on.post(worker.key, json=BODY, headers=names).headers["x-awx-call-id"])
    told = on.get(worker.key, path).json()
    assert (told["session"], told["calls"], told["budgets"][0]["name"]) == (name, 1, name)
    assert on.post(worker.key, f"{path}/reset").json()["reset_budgets"] == 1


def test_a_session_that_no_call_can_have_named_is_not_found(on: Stage) -> None:
    worker = on.worker()
    assert on.get(worker.key, "/v1/sessions/a%00b").status_code == 404
    assert on.post(worker.key, "/v1/sessions/a%00b/reset").status_code == 404
