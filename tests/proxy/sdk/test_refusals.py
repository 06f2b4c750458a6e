"""What the real clients make of a refusal: one request, the right exception, a body that says all."""

import time
from datetime import datetime
from typing import Any

import anthropic
import openai
import pytest
from django.utils import timezone

from agents import budgets
from tests.proxy.stage import Stage, Worker, settled

# A process may repeat a refusal from memory for this long.
LOOSENED_SECONDS = 0.3
MESSAGES: Any = [{"role": "user", "content": "Hello [[tokens_out=20]]"}]


def spend_all(on: Stage, worker: Worker) -> None:
    """Use the budget up as far as it goes."""
    client = on.openai_client(worker.key, max_retries=0)
    while True:
        try:
            client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "Go on [[bill=ceiling]]"}],
                max_tokens=1000,
            )
        except openai.RateLimitError:
            return


def openai_refusal(on: Stage, worker: Worker, **call: Any) -> tuple[openai.APIStatusError, int]:
    """The exception, and how many requests the client made."""
    requests: list[str] = []
    client = on.openai_client(worker.key)
    original = client._client.send

    def send(request: Any, **options: Any) -> Any:
        requests.append(str(request.url))
        return original(request, **options)

    client._client.send = send  # type: ignore[method-assign]
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**{"model": "gpt-4o", "messages": MESSAGES, **call})
    return caught.value, len(requests)


def test_a_call_over_the_budget_is_one_request_and_a_rate_limit_error(on: Stage) -> None:
    """J5, J6: what clients look for is there, and the class is the documented one."""
    worker = on.worker("0.05")
    spend_all(on, worker)
    before = on.fake.stats()["requests"]
    error, requests = openai_refusal(on, worker, max_tokens=1000)
    assert isinstance(error, openai.RateLimitError)
    assert requests == 1
    assert (error.code, error.type) == ("insufficient_quota", "insufficient_quota")
    assert error.response.headers["x-should-retry"] == "false"
    assert int(error.response.headers["retry-after"]) <= 86_400
    assert on.fake.stats()["requests"] == before


def test_the_refusal_says_everything_in_exact_numbers(on: Stage) -> None:
    """J5, J6, J7: the budget by scope and name, the reset in body and header, and all of it in the message."""
    worker = on.worker("0.05")
    spend_all(on, worker)
    error, _ = openai_refusal(on, worker, max_tokens=1000)
    body: Any = error.body
    awx = body["awx"]
    assert awx["reason"] == "budget_exceeded"
    assert (awx["scope"], awx["name"], awx["unit"], awx["window"]) == ("agent", worker.agent.name, "usd", "day")
    assert awx["limit"] == "0.050000"
    headers = error.response.headers
    assert awx["call_id"] == headers["x-awx-call-id"]
    assert (headers["x-awx-budget-limit"], headers["x-awx-budget-remaining"]) == (awx["limit"], awx["available"])
    assert datetime.fromisoformat(headers["x-awx-budget-reset"]) == datetime.fromisoformat(awx["resets_at"])
    assert float(awx["asked"]) > float(awx["available"])
    assert datetime.fromisoformat(awx["resets_at"]) > timezone.now()
    assert worker.agent.name in body["message"]
    assert "$0.05" in body["message"]
    assert "spent" in body["message"]
    assert "resets" in body["message"]


def test_a_refusal_is_a_row_of_the_book_and_moves_no_money(on: Stage) -> None:
    worker = on.worker("0.001")
    error, _ = openai_refusal(on, worker, max_tokens=1000)
    row = settled(error.response.headers["x-awx-call-id"])
    assert (row.status, row.reason, row.http_status, row.cost_pico) == ("refused", "call_too_expensive", 429, 0)
    assert row.model == "gpt-4o"
    assert row.held_pico > 0
    assert worker.spent_pico == worker.held_pico == 0


def test_a_call_that_costs_more_than_the_whole_limit_is_too_expensive(on: Stage) -> None:
    error, requests = openai_refusal(on, on.worker("0.001"), max_tokens=1000)
    body: Any = error.body
    assert (error.status_code, requests, body["awx"]["reason"]) == (429, 1, "call_too_expensive")
    assert "retry-after" not in error.response.headers


def test_zero_lets_nothing_paid_pass(on: Stage) -> None:
    error, _ = openai_refusal(on, on.worker("0"))
    assert error.status_code == 429
    assert on.fake.stats()["requests"] == 0


def test_a_bound_of_ours_shrinks_to_what_the_budget_buys(on: Stage) -> None:
    worker = on.worker("0.05")
    answer = on.openai_client(worker.key).chat.completions.with_raw_response.create(model="gpt-4o", messages=MESSAGES)
    cap = int(answer.headers["x-awx-max-output-tokens"])
    assert 256 <= cap < 16_384
    row = settled(answer.headers["x-awx-call-id"])
    assert 49_000_000_000 < row.held_pico <= 50_000_000_000
    assert f'"max_completion_tokens":{cap}' in on.fake.log()[-1]["body"]


def test_a_bound_of_the_clients_is_never_lowered_but_the_affordable_one_is_named(on: Stage) -> None:
    # Of a model without a published tokenizer: a count would buy a little more than what is named.
    worker, model = on.worker("0.05"), "gpt-6.1-sol"
    error, _ = openai_refusal(on, worker, model=model, max_tokens=16_000)
    body: Any = error.body
    affordable = int(body["message"].split("An output bound of ")[1].split()[0])
    on.openai_client(worker.key).chat.completions.create(model=model, messages=MESSAGES, max_tokens=affordable)
    with pytest.raises(openai.RateLimitError):
        on.openai_client(on.worker("0.05").key, max_retries=0).chat.completions.create(
            model=model, messages=MESSAGES, max_tokens=affordable + 1
        )


def test_the_agent_may_be_set_to_402(on: Stage) -> None:
    worker = on.worker("0.001")
    worker.agent.refusal_status = 402
    worker.agent.save(update_fields=["refusal_status"])
    error, requests = openai_refusal(on, worker, max_tokens=1000)
    assert (error.status_code, requests) == (402, 1)


def test_a_paused_agent_is_refused_at_the_very_next_call_and_not_after_it_resumed(on: Stage) -> None:
    worker = on.worker()
    client = on.openai_client(worker.key)
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    budgets.pause(worker.agent, by=on.alice.user)
    error, requests = openai_refusal(on, worker)
    assert isinstance(error, openai.PermissionDeniedError)
    assert (error.code, requests) == ("agent_paused", 1)
    budgets.resume(worker.agent, by=on.alice.user)
    time.sleep(LOOSENED_SECONDS)
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


def test_a_lower_limit_holds_for_the_very_next_call(on: Stage) -> None:
    worker = on.worker("5")
    client = on.openai_client(worker.key)
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    budget = worker.agent.budgets.get()
    budgets.set_limit(budget, 0, by=on.alice.user)
    error, _ = openai_refusal(on, worker)
    assert error.status_code == 429
    budgets.set_limit(budget, 10**12, by=on.alice.user)
    time.sleep(LOOSENED_SECONDS)
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


def test_anthropic_clients_get_their_own_form(on: Stage) -> None:
    """J8; tests/clients shows what Claude Code makes of it."""
    worker = on.worker("0.0001")
    with pytest.raises(anthropic.RateLimitError) as caught:
        on.anthropic_client(worker.key).messages.create(model="claude-haiku-4-5", max_tokens=1000, messages=MESSAGES)
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] == "billing_error"
    assert body["awx"]["reason"] == "call_too_expensive"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert settled(caught.value.response.headers["x-awx-call-id"]).status == "refused"


def test_a_provider_that_is_not_connected_names_the_page_to_connect_it(on: Stage) -> None:
    error = on.post(on.charlie.live_key, json={"model": "gpt-4o", "messages": MESSAGES})
    assert error.status_code == 403
    assert error.json()["error"]["code"] == "provider_not_connected"
    assert f"{on.server.address}/settings/providers/" in error.json()["error"]["message"]
