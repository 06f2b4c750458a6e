"""What an agent may do in one call: each limit at its boundary, and nothing forwarded beyond it (B3, B7)."""

import time
from typing import Any

import httpx
import pytest

from agents.money import PICO_PER_USD, parse_usd
from tests.proxy.stage import Stage, Worker, sent_body, settled

HELLO = [{"role": "user", "content": "Hello"}]
BODY: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 500}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
BY_BYTES = {"model": "gpt-6-luna"}  # no tokenizer is published for it
CLAUDE: dict[str, Any] = {"model": "claude-haiku-4-5", "messages": HELLO, "max_tokens": 500}


@pytest.fixture
def worker(on: Stage) -> Worker:
    return on.worker()


def chat(on: Stage, worker: Worker, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    return on.post(worker.key, json=BODY | fields, headers=headers or {})


def message(on: Stage, worker: Worker, **fields: Any) -> httpx.Response:
    return on.post(worker.key, "/v1/messages", json=CLAUDE | fields, headers={"anthropic-version": "2023-06-01"})


def refused(on: Stage, worker: Worker, answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The refusal, and that nothing left, counted or stayed held."""
    assert answer.status_code == status, answer.text
    facts: dict[str, Any] = answer.json()["error"]["awx"]
    assert facts["reason"] == reason
    assert answer.headers["x-should-retry"] == "false"
    assert on.fake.stats()["requests"] == 0
    assert worker.spent_pico == worker.held_pico == 0
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.status, row.reason, row.http_status) == ("refused", reason, status)
    return facts


# Models


def test_a_model_outside_the_list_is_refused_with_the_list(on: Stage, worker: Worker) -> None:
    worker.guard(allowed_models=["gpt-4o", "anthropic/claude-haiku-4-5"])
    answer = chat(on, worker)
    refused(on, worker, answer, 403, "model_not_allowed")
    assert "gpt-4o, anthropic/claude-haiku-4-5" in answer.json()["error"]["message"]
    assert answer.json()["error"]["param"] == "model"


@pytest.mark.parametrize("allowed", ["gpt-4o-mini", "openai/gpt-4o-mini"])
@pytest.mark.parametrize("asked", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_a_listed_model_passes_with_or_without_its_provider(
    on: Stage, worker: Worker, allowed: str, asked: str
) -> None:
    worker.guard(allowed_models=[allowed])
    assert chat(on, worker, model=asked).status_code == 200


def test_an_empty_list_allows_no_model_and_none_allows_every(on: Stage, worker: Worker) -> None:
    worker.guard(allowed_models=[])
    answer = chat(on, worker)
    refused(on, worker, answer, 403, "model_not_allowed")
    assert "list of models is empty" in answer.json()["error"]["message"]
    assert chat(on, on.worker()).status_code == 200


def test_the_list_holds_for_token_counts_and_for_the_list_of_models(on: Stage, worker: Worker) -> None:
    worker.guard(allowed_models=["gpt-4o"])
    counted = on.post(worker.key, "/v1/messages/count_tokens", json=CLAUDE)
    assert (counted.status_code, counted.json()["awx"]["reason"]) == (403, "model_not_allowed")
    assert on.fake.stats()["requests"] == 0
    assert [model["id"] for model in on.get(worker.key, "/v1/models").json()["data"]] == ["gpt-4o"]
    assert on.get(worker.key, "/v1/models/gpt-4o-mini").status_code == 404


# Output


def test_a_bound_above_the_agents_is_refused_and_one_at_it_passes(on: Stage, worker: Worker) -> None:
    worker.guard(max_output_tokens=500)
    answer = chat(on, worker, max_tokens=501)
    refused(on, worker, answer, 400, "output_too_long")
    assert "501" in answer.json()["error"]["message"]
    assert chat(on, worker, max_tokens=500).status_code == 200


def test_an_added_bound_never_exceeds_the_agents(on: Stage, worker: Worker) -> None:
    worker.guard(max_output_tokens=120)
    answer = chat(on, worker, max_tokens=None)
    assert answer.headers["x-awx-max-output-tokens"] == "120"
    assert sent_body(on)["max_completion_tokens"] == 120


def test_where_the_agent_clamps_a_bound_above_its_own_is_lowered(on: Stage, worker: Worker) -> None:
    worker.guard(max_output_tokens=300, clamp_output=True)
    answer = chat(on, worker, max_tokens=32_000)
    assert answer.headers["x-awx-max-output-tokens"] == "300"
    assert sent_body(on)["max_tokens"] == 300


# Input


def test_more_input_than_the_agent_may_send_is_refused_in_tokens(on: Stage, worker: Worker) -> None:
    worker.guard(max_input_tokens=100)
    facts = refused(on, worker, chat(on, worker, **BY_BYTES), 429, "call_too_expensive")
    assert (facts["scope"], facts["unit"], facts["limit"], facts["window"]) == ("call", "tokens", "100", "call")
    asked = int(facts["asked"])
    just_too_few, just_enough = on.worker(), on.worker()
    just_too_few.guard(max_input_tokens=asked - 1)
    just_enough.guard(max_input_tokens=asked)
    answer = chat(on, just_too_few, **BY_BYTES)
    assert answer.json()["error"]["awx"]["asked"] == str(asked)
    assert f"at most {asked - 1} input tokens for one call" in answer.json()["error"]["message"]
    assert chat(on, just_enough, **BY_BYTES).status_code == 200


def test_input_is_counted_where_the_tokenizer_is_published(on: Stage) -> None:
    """Twenty kilobytes of English are about four thousand tokens."""
    worker, strict = on.worker(), on.worker()
    worker.guard(max_input_tokens=5_000)
    strict.guard(max_input_tokens=3_000)
    words = [{"role": "user", "content": "The quick brown fox jumps over it. " * 571}]
    assert chat(on, worker, messages=words, model="gpt-4o-mini").status_code == 200
    before = on.fake.stats()["requests"]
    answer = chat(on, strict, messages=words, model="gpt-4o-mini")
    assert answer.json()["error"]["awx"]["reason"] == "call_too_expensive"
    assert chat(on, worker, messages=words, **BY_BYTES).status_code == 429
    assert on.fake.stats()["requests"] == before


# Ceiling


def test_a_client_that_asks_for_more_than_a_call_may_cost_hears_what_would_fit(on: Stage, worker: Worker) -> None:
    worker.guard(max_ceiling_pico=parse_usd("0.0005"))
    answer = chat(on, worker, max_tokens=5_000, **BY_BYTES)
    facts = refused(on, worker, answer, 429, "call_too_expensive")
    assert (facts["scope"], facts["unit"], facts["limit"]) == ("call", "usd", "0.000500")
    assert "x-awx-budget-limit" not in answer.headers
    fits = int(answer.json()["error"]["message"].split("An output bound of ")[1].split()[0])
    assert chat(on, worker, max_tokens=fits, **BY_BYTES).status_code == 200
    assert (
        settled(chat(on, worker, max_tokens=fits + 1, **BY_BYTES).headers["x-awx-call-id"]).reason
        == "call_too_expensive"
    )


def test_a_bound_of_ours_shrinks_to_what_a_call_may_cost(on: Stage, worker: Worker) -> None:
    limit_pico = parse_usd("0.0005")
    worker.guard(max_ceiling_pico=limit_pico)
    answer = chat(on, worker, max_tokens=None, **BY_BYTES)
    row = settled(answer.headers["x-awx-call-id"])
    added = int(answer.headers["x-awx-max-output-tokens"])
    assert 256 <= added < 16_384
    # One token more would not have fitted: a token costs 500,000 pico-dollars.
    assert limit_pico - 500_000 < row.held_pico <= limit_pico


def test_a_bound_of_ours_shrinks_to_256_tokens_and_no_further(on: Stage) -> None:
    just_enough, too_little, nothing = on.worker(), on.worker(), on.worker()
    nothing.guard(max_ceiling_pico=1)
    least = chat(on, nothing, max_tokens=None, **BY_BYTES).json()["error"]["awx"]["asked"]
    just_enough.guard(max_ceiling_pico=parse_usd(least))
    too_little.guard(max_ceiling_pico=parse_usd(least) - 1)
    assert chat(on, just_enough, max_tokens=None, **BY_BYTES).headers["x-awx-max-output-tokens"] == "256"
    assert chat(on, too_little, max_tokens=None, **BY_BYTES).status_code == 429


def test_a_ceiling_that_buys_no_useful_answer_refuses_also_without_a_bound(on: Stage, worker: Worker) -> None:
    worker.guard(max_ceiling_pico=PICO_PER_USD // 10**5)
    facts = refused(on, worker, chat(on, worker, max_tokens=None, **BY_BYTES), 429, "call_too_expensive")
    assert facts["limit"] == "0.000010"


def test_an_agent_that_wants_402_gets_it_for_limits_of_a_call(on: Stage, worker: Worker) -> None:
    worker.agent.refusal_status = 402
    worker.agent.save()
    worker.guard(max_ceiling_pico=1)
    refused(on, worker, chat(on, worker), 402, "call_too_expensive")


# Headers


@pytest.mark.parametrize(
    ("required", "header"), [("session", "X-AWX-Session-ID"), ("user", "X-AWX-User-ID")]
)  # fmt: skip
def test_a_required_header_that_is_missing_is_named(on: Stage, worker: Worker, required: str, header: str) -> None:
    worker.guard(required_headers=[required])
    for headers in ({}, {header: ""}):
        answer = chat(on, worker, headers)
        refused(on, worker, answer, 400, "agent_required")
        assert header in answer.json()["error"]["message"]
        assert answer.json()["error"]["param"] == header
    assert chat(on, worker, {header: "run-7"}).status_code == 200


def test_a_user_named_by_the_body_is_enough(on: Stage, worker: Worker) -> None:
    worker.guard(required_headers=["user"])
    assert chat(on, worker, user="u-1").status_code == 200
    assert message(on, worker, metadata={"user_id": "u-1"}).status_code == 200
    assert message(on, worker).status_code == 400


# Hosted tools


def test_hosted_tools_are_off_until_the_agent_lists_them(on: Stage, worker: Worker) -> None:
    answer = message(on, worker, tools=[SEARCH])
    refused(on, worker, answer, 400, "unpriced_feature")
    assert "web_search" in answer.json()["error"]["message"]
    assert "with a cap" in answer.json()["error"]["message"]
    worker.guard(hosted_tools={"web_fetch": 3})
    refused(on, worker, message(on, worker, tools=[SEARCH]), 400, "unpriced_feature")


def test_more_uses_than_the_agent_allows_are_refused(on: Stage, worker: Worker) -> None:
    worker.guard(hosted_tools={"web_search": 3})
    answer = message(on, worker, tools=[SEARCH | {"max_uses": 4}])
    facts = refused(on, worker, answer, 429, "call_too_expensive")
    assert {name: facts[name] for name in ("scope", "name", "unit", "limit", "asked")} == {
        "scope": "call", "name": "web_search", "unit": "calls", "limit": "3", "asked": "4",
    }  # fmt: skip
    assert "3 uses of web_search" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("asked", "sent"), [({}, 3), ({"max_uses": 3}, 3), ({"max_uses": 1}, 1)])
def test_a_hosted_tool_is_bounded_held_and_billed(on: Stage, asked: dict[str, int], sent: int) -> None:
    worker = on.worker("50")
    worker.guard(hosted_tools={"web_search": 3})
    words = [{"role": "user", "content": "Look it up [[searches=9 tokens_in=70000]]"}]
    row = settled(message(on, worker, messages=words, tools=[SEARCH | asked]).headers["x-awx-call-id"])
    assert sent_body(on)["tools"] == [SEARCH | {"max_uses": sent}]
    # A window for each use and one more at the dearest input rate, the cap as often, and the fees.
    window_pico, answer_pico, fee_pico = 200_000 * 1_250_000, 500 * 5_000_000, PICO_PER_USD // 100
    assert row.held_pico == (sent + 1) * (window_pico + answer_pico) + sent * fee_pico
    assert row.cost_pico == on.fake.billed_pico() == worker.spent_pico
    assert row.pricing["tools"] == {"web_search": sent}


def test_what_hosted_tools_may_read_counts_as_input(on: Stage) -> None:
    worker = on.worker("50")
    worker.guard(hosted_tools={"web_search": 1}, max_input_tokens=399_999)
    facts = refused(on, worker, message(on, worker, tools=[SEARCH]), 429, "call_too_expensive")
    assert facts["asked"] == "400000"
    enough = on.worker("50")
    enough.guard(hosted_tools={"web_search": 1}, max_input_tokens=400_000)
    assert message(on, enough, tools=[SEARCH]).status_code == 200


def test_a_hosted_tool_without_a_bound_of_its_own_stays_refused(on: Stage, worker: Worker) -> None:
    worker.guard(hosted_tools={"web_search": 3, "code_execution": 3})
    answer = chat(on, worker, web_search_options={})
    refused(on, worker, answer, 400, "unpriced_feature")
    tools = [{"type": "code_execution_20250825", "name": "code_execution"}]
    refused(on, worker, message(on, worker, tools=tools), 400, "unpriced_feature")


# Changes


def test_a_tightened_guard_holds_for_the_very_next_call(on: Stage, worker: Worker) -> None:
    assert chat(on, worker).status_code == 200
    worker.guard(max_output_tokens=499)
    assert chat(on, worker).status_code == 400


def test_a_loosened_guard_holds_after_a_quarter_of_a_second(on: Stage, worker: Worker) -> None:
    """B5: the snapshot that refused is then too old to refuse again by itself."""
    worker.guard(max_output_tokens=499)
    assert chat(on, worker).status_code == 400
    worker.guard(max_output_tokens=500)
    time.sleep(0.3)
    assert chat(on, worker).status_code == 200
