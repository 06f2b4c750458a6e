"""What an agent may ask about itself, and what Charlie may not."""

from typing import Any

import pytest

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
