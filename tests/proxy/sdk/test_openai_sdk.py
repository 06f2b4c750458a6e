"""The real OpenAI client through the proxy: as if it were not there, but for the book."""

import re
from decimal import Decimal
from typing import Any

import pytest

from agents.money import usd_exact
from tests.proxy.stage import PROVIDER_KEY, Stage, settled

MESSAGES: Any = [{"role": "user", "content": "Say hello [[tokens_out=50 cached=10 tokens_in=60]]"}]
RANDOM = {"id", "created", "system_fingerprint", "obfuscation", "service_tier"}


def plain(model: Any) -> dict[str, Any]:
    """An answer without what differs from call to call."""
    return {name: value for name, value in model.model_dump(exclude_unset=True).items() if name not in RANDOM}


def cost_in_book(call_id: str) -> Decimal:
    return Decimal(usd_exact(settled(call_id).cost_pico))


def test_a_plain_call_answers_as_it_would_directly(on: Stage) -> None:
    worker = on.worker()
    direct = on.direct_openai().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    through = on.openai_client(worker.key).chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert plain(through) == plain(direct)


def test_a_streamed_call_answers_as_it_would_directly(on: Stage) -> None:
    worker = on.worker()
    clients = on.direct_openai(), on.openai_client(worker.key)
    direct, through = (
        [plain(chunk) for chunk in client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True)]
        for client in clients
    )
    assert through == direct


@pytest.mark.parametrize("wanted", [True, False])
def test_a_client_sees_usage_in_a_stream_only_when_it_asked(on: Stage, wanted: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if wanted else {}
    stream = on.openai_client(on.worker().key).chat.completions.with_streaming_response.create(
        model="gpt-4o-mini", messages=MESSAGES, stream=True, **options
    )
    with stream as response:
        text = response.read().decode()
    assert ('"usage"' in text) is wanted
    assert text.endswith("data: [DONE]\n\n")
    assert settled(response.headers["x-awx-call-id"]).basis == "usage"


def test_the_bytes_of_a_stream_are_as_if_usage_had_not_been_asked_for(on: Stage) -> None:
    body = {"model": "gpt-4o-mini", "messages": MESSAGES, "stream": True, "service_tier": "default"}
    direct = on.direct_openai()._client.post(
        "chat/completions", json=body, headers={"authorization": f"Bearer {PROVIDER_KEY}"}
    )
    through = on.post(on.worker().key, json=body)

    def masked(text: str) -> str:
        return re.sub(r'"(id|created|system_fingerprint|obfuscation)":("[^"]*"|\d+)', r'"\1":-', text)

    assert masked(through.text) == masked(direct.text)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-mini", "gpt-4.1"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_book_agrees_with_the_bill_to_the_last_digit(on: Stage, model: str, stream: bool) -> None:
    worker = on.worker()
    response = on.openai_client(worker.key).chat.completions.with_raw_response.create(
        model=model, messages=MESSAGES, stream=stream
    )
    answer: Any = response.parse()
    if stream:
        list(answer)
    assert cost_in_book(response.headers["x-awx-call-id"]) == on.fake.billed_usd() > 0
    assert worker.spent_pico == on.fake.billed_pico()
    assert worker.held_pico == 0


def test_the_answer_names_call_agent_budget_and_cost(on: Stage) -> None:
    worker = on.worker("3")
    headers = (
        on.openai_client(worker.key)
        .chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)
        .headers
    )
    row = settled(headers["x-awx-call-id"])
    assert headers["x-awx-agent"] == worker.agent.slug
    assert headers["x-awx-call-cost"] == usd_exact(row.cost_pico)
    assert headers["x-awx-budget-limit"] == "3.000000"
    assert Decimal(headers["x-awx-budget-remaining"]) == 3 - Decimal(usd_exact(row.held_pico))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00Z", headers["x-awx-budget-reset"])
    assert headers["x-awx-max-output-tokens"] == "16384"


def test_the_row_keeps_what_the_log_shows(on: Stage) -> None:
    messages: Any = [{"role": "system", "content": "Be brief."}, *MESSAGES]
    response = on.openai_client(on.worker().key).chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=messages, max_tokens=60, user="user-7"
    )
    row = settled(response.headers["x-awx-call-id"])
    assert (row.provider, row.endpoint, row.model, row.status, row.basis) == (
        "openai", "chat", "gpt-4o-mini", "settled", "usage",
    )  # fmt: skip
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens) == (50, 10, 50)
    assert row.user_subject == "user-7"
    assert row.system_bytes == len("Be brief.")
    assert row.http_status == 200
    assert row.body_fingerprint
    assert row.last_message_fingerprint
    assert row.provider_request_id == response.headers["x-request-id"]
    assert row.price_version
    assert row.duration_ms is not None
    assert row.first_byte_ms is not None
    assert row.held_pico >= row.cost_pico


def test_tool_calls_and_unknown_harmless_fields_pass_through(on: Stage) -> None:
    tools: Any = [
        {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    ]
    messages: Any = [{"role": "user", "content": "Look [[tool_calls=2]]"}]
    response = on.openai_client(on.worker().key).chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=messages, tools=tools, metadata={"run": "1"}, extra_body={"novelty": [1, 2]}
    )
    calls = response.parse().choices[0].message.tool_calls
    assert calls is not None
    assert len(calls) == 2
    assert settled(response.headers["x-awx-call-id"]).tool_call_count == 2
    assert '"novelty":[1,2]' in on.fake.log()[-1]["body"]


def test_neither_our_key_nor_theirs_crosses_over(on: Stage) -> None:
    worker = on.worker()
    response = on.openai_client(worker.key).chat.completions.with_raw_response.create(
        model="gpt-4o-mini", messages=MESSAGES
    )
    seen = on.fake.log()[-1]
    assert worker.key not in str(seen)
    assert seen["headers"]["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert PROVIDER_KEY not in str(response.headers) + response.text
    assert "fake-secret" not in str(response.headers)
    assert on.fake.stats()["violations"] == 0


def test_models_are_listed_in_the_clients_dialect(on: Stage) -> None:
    client = on.openai_client(on.worker("0").key)
    names = [model.id for model in client.models.list()]
    assert "gpt-4o-mini" in names
    assert not [name for name in names if name.startswith("claude")]
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    assert on.fake.stats()["requests"] == 0
