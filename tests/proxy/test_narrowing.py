"""A call that its bytes would refuse is counted, admitted to the last token, and the count is held to its bill."""

from typing import Any

import httpx
import orjson
import pytest

from agents import budgets, keys
from agents.models import Budget, KeyMode
from agents.models.budget import Scope, Unit
from agents.money import parse_usd
from proxy.counter import COUNTED_BYTES_MAX, count_tokens
from proxy.providers.endpoints import Route
from proxy.providers.openai import chat
from proxy.tokenizers import encoding_of
from tests.proxy.stage import Stage, Worker, settled

CAP = 100
# Dollars per million tokens are as many pico-dollars times a million: (input, output).
RATES = {"gpt-4o": (2_500_000, 10_000_000), "gpt-4.1": (2_000_000, 8_000_000), "gpt-6.1-sol": (2_500_000, 10_000_000)}
PROSE = "Every call is counted before it leaves, and whatever the count says is held until the bill has come. " * 40


def body_of(words: str = "count=1", *, model: str = "gpt-4o", text: str = PROSE, **fields: Any) -> dict[str, Any]:
    message = {"role": "user", "content": f"{text}[[{words}]]"}
    return {"model": model, "messages": [message], "max_completion_tokens": CAP} | fields


def counted(body: dict[str, Any]) -> int:
    """The count that the proxy should come to."""
    request = chat.read_request(Route(chat.CHAT), orjson.dumps(body), {})
    encoding = encoding_of("openai", body["model"])
    assert encoding is not None
    return count_tokens(request, encoding, float("inf"))


def ceiling_pico(model: str, input_tokens: int) -> int:
    into, out = RATES[model]
    return input_tokens * into + CAP * out


def worker_with(on: Stage, limit_pico: int, mode: KeyMode = KeyMode.LIVE) -> Worker:
    organization, user = on.alice.organization, on.alice.user
    agent = budgets.create_agent(organization, f"narrow {limit_pico} {mode}", daily_limit_pico=limit_pico, by=user)
    return Worker(agent, keys.issue(agent, mode, by=user)[1])


def bound_of(answer: httpx.Response) -> Any:
    return settled(answer.headers["x-awx-call-id"]).facts["bound"]


def test_a_budget_that_holds_the_count_to_the_last_pico_admits_the_call(on: Stage) -> None:
    tokens = counted(body_of())
    worker = worker_with(on, ceiling_pico("gpt-4o", tokens))
    answer = on.post(worker.key, json=body_of())
    assert answer.status_code == 200, answer.text
    row = settled(answer.headers["x-awx-call-id"])
    assert row.held_pico == ceiling_pico("gpt-4o", tokens)
    assert row.cost_pico == worker.spent_pico == on.fake.billed_pico() > 0
    assert row.facts["bound"] == {"stage": 1, "tokens": tokens, "actual": row.input_tokens, "breach": False}
    assert tokens < len(orjson.dumps(body_of())) / 3


def test_one_token_less_refuses_it_and_says_how_the_bound_was_found(on: Stage) -> None:
    tokens = counted(body_of())
    worker = worker_with(on, ceiling_pico("gpt-4o", tokens - 1))
    answer = on.post(worker.key, json=body_of())
    awx = answer.json()["error"]["awx"]
    assert (answer.status_code, awx["bound"]) == (429, "tokenizer")
    assert parse_usd(awx["asked"]) == ceiling_pico("gpt-4o", tokens)
    assert on.fake.stats()["requests"] == 0
    assert settled(awx["call_id"]).facts["bound"] == "tokenizer"
    assert worker.held_pico == worker.spent_pico == 0


@pytest.mark.parametrize(("less", "status"), [(0, 200), (1, 429)])
def test_a_budget_of_tokens_is_held_to_the_count_too(on: Stage, less: int, status: int) -> None:
    worker = on.worker("100")
    limit = counted(body_of()) + CAP - less
    budget = Budget(
        organization=on.alice.organization, agent=worker.agent, scope=Scope.AGENT, unit=Unit.TOKENS, limit=limit
    )
    budgets.add_budget(budget, by=on.alice.user)
    assert on.post(worker.key, json=body_of()).status_code == status


def test_a_call_that_its_bytes_admit_is_not_counted(on: Stage) -> None:
    answer = on.post(on.worker("5").key, json=body_of())
    assert answer.status_code == 200
    assert "bound" not in (settled(answer.headers["x-awx-call-id"]).facts or {})


def test_a_budget_that_could_not_hold_the_output_alone_is_refused_without_a_count(on: Stage) -> None:
    answer = on.post(worker_with(on, ceiling_pico("gpt-4o", 0) - 1).key, json=body_of())
    assert (answer.status_code, answer.json()["error"]["awx"]["bound"]) == (429, "bytes")


def test_an_output_bound_of_ours_shrinks_under_the_count(on: Stage) -> None:
    body = body_of()
    del body["max_completion_tokens"]
    into, out = RATES["gpt-4o"]
    cap_tokens = len(',"max_completion_tokens":1000') + 1
    worker = worker_with(on, (counted(body) + cap_tokens) * into + 1_000 * out)
    answer = on.post(worker.key, json=body)
    assert answer.status_code == 200
    assert int(answer.headers["x-awx-max-output-tokens"]) >= 1_000
    assert bound_of(answer)["breach"] is False


def test_the_image_of_a_call_keeps_its_own_bound(on: Stage) -> None:
    body = body_of()
    text = body["messages"][0]["content"]
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    body["messages"][0]["content"] = [{"type": "text", "text": text}, image]
    tokens = counted(body) + 85 + 24 * 170
    assert on.post(worker_with(on, ceiling_pico("gpt-4o", tokens) - 1).key, json=body).status_code == 429
    answer = on.post(worker_with(on, ceiling_pico("gpt-4o", tokens)).key, json=body)
    assert bound_of(answer)["tokens"] == tokens


def test_gpt_6_is_never_counted(on: Stage) -> None:
    body = body_of("tokens_in=20", model="gpt-6.1-sol")
    worker = worker_with(on, ceiling_pico("gpt-6.1-sol", len(orjson.dumps(body)) - 1_000))
    answer = on.post(worker.key, json=body)
    assert (answer.status_code, answer.json()["error"]["awx"]["bound"]) == (429, "bytes")


def test_a_practice_call_is_bounded_by_its_bytes(on: Stage) -> None:
    worker = worker_with(on, ceiling_pico("gpt-4o", counted(body_of())), KeyMode.TEST)
    answer = on.post(worker.key, json=body_of())
    assert (answer.status_code, answer.json()["error"]["awx"]["bound"]) == (429, "bytes")


def test_a_body_over_a_megabyte_stays_with_its_bytes(on: Stage) -> None:
    body = body_of(text="word " * (COUNTED_BYTES_MAX // 5 - 100))
    worker = worker_with(on, ceiling_pico("gpt-4o", counted(body)))
    larger = body_of(text="word " * (COUNTED_BYTES_MAX // 5 + 1))
    refused = on.post(worker.key, json=larger)
    assert (refused.status_code, refused.json()["error"]["awx"]["bound"]) == (429, "bytes")
    answer = on.post(worker.key, json=body)
    assert (answer.status_code, bound_of(answer)["stage"]) == (200, 1)


def test_a_bill_above_the_count_is_booked_and_the_model_is_counted_no_more(on: Stage) -> None:
    body = body_of("tokens_in=3000 tokens_out=100", model="gpt-4.1")
    limit = ceiling_pico("gpt-4.1", counted(body))
    worker = worker_with(on, limit)
    answer = on.post(worker.key, json=body)
    assert answer.status_code == 200, answer.text
    row = settled(answer.headers["x-awx-call-id"])
    assert row.facts["bound"] == {"stage": 1, "tokens": counted(body), "actual": 3000, "breach": True}
    assert row.facts["overrun_pico"] == row.cost_pico - row.held_pico > 0
    assert "bound breach: openai/gpt-4.1" in on.server.log.read_text()
    # The same call on a fresh budget: by bytes alone it does not fit.
    body["model"] = "gpt-4.1-2025-04-14"  # the same under another name
    refused = on.post(worker_with(on, limit + 1).key, json=body)
    assert (refused.status_code, refused.json()["error"]["awx"]["bound"]) == (429, "bytes")
    # The price is not at fault, so whoever can afford the bytes still calls.
    assert on.post(on.worker("5").key, json=body).status_code == 200
    # Nor is any other model.
    assert on.post(worker_with(on, ceiling_pico("gpt-4o", counted(body_of()))).key, json=body_of()).status_code == 200


def test_a_bill_above_the_bytes_stops_the_model_although_its_cost_is_within_the_ceiling(on: Stage) -> None:
    body = body_of("tokens_in=9000", model="gpt-6-luna", max_completion_tokens=16_000)
    worker = on.worker("5")
    answer = on.post(worker.key, json=body)
    row = settled(answer.headers["x-awx-call-id"])
    assert row.cost_pico < row.held_pico
    assert (row.facts["bound"]["stage"], row.facts["bound"]["breach"]) == (0, True)
    assert on.post(worker.key, json=body).json()["error"]["code"] == "unpriced_model"
