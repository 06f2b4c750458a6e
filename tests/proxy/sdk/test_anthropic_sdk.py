"""The real Anthropic client through the proxy: as if it were not there, but for the book."""

import re
from decimal import Decimal
from typing import Any

import pytest

from agents.money import usd_exact
from tests.proxy.stage import PROVIDER_KEY, Stage, settled

MESSAGES: Any = [{"role": "user", "content": "Say hello [[tokens_out=30 tokens_in=50 cached=5 written=7]]"}]
MODEL = "claude-haiku-4-5"
RANDOM = {"id", "created_at", "inference_geo", "service_tier"}


def plain(value: Any) -> Any:
    """An answer without what differs from call to call."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if name not in RANDOM}
    return [plain(item) for item in value] if isinstance(value, list) else value


def dumped(model: Any) -> Any:
    return plain(model.model_dump(exclude_unset=True))


def test_a_plain_call_answers_as_it_would_directly(on: Stage) -> None:
    clients = on.direct_anthropic(), on.anthropic_client(on.worker().key)
    direct, through = (
        dumped(client.messages.create(model=MODEL, max_tokens=100, messages=MESSAGES)) for client in clients
    )
    assert through == direct


def test_a_streamed_call_answers_as_it_would_directly(on: Stage) -> None:
    clients = on.direct_anthropic(), on.anthropic_client(on.worker().key)
    direct, through = (
        [dumped(event) for event in client.messages.create(model=MODEL, max_tokens=100, messages=MESSAGES, stream=True)]
        for client in clients
    )
    assert through == direct


def test_the_stream_helper_adds_up(on: Stage) -> None:
    with on.anthropic_client(on.worker().key).messages.stream(model=MODEL, max_tokens=100, messages=MESSAGES) as stream:
        assert "".join(stream.text_stream) == "word word word word word"
        assert stream.get_final_message().usage.output_tokens == 30


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-8"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_book_agrees_with_the_bill_to_the_last_digit(on: Stage, model: str, stream: bool) -> None:
    worker = on.worker()
    response = on.anthropic_client(worker.key).messages.with_raw_response.create(
        model=model, max_tokens=100, messages=MESSAGES, stream=stream
    )
    answer: Any = response.parse()
    if stream:
        list(answer)
    row = settled(response.headers["x-awx-call-id"])
    assert Decimal(usd_exact(row.cost_pico)) == on.fake.billed_usd() > 0
    assert (row.cache_read_tokens, row.cache_write_tokens, row.output_tokens) == (5, 7, 30)
    assert worker.spent_pico == on.fake.billed_pico()
    assert worker.held_pico == 0


def test_the_key_may_come_as_bearer_token_too(on: Stage) -> None:
    key = on.worker().key
    client = on.anthropic_client("").with_options(api_key=None, auth_token=key)
    assert client.messages.create(model=MODEL, max_tokens=10, messages=MESSAGES).usage.output_tokens == 10
    seen = on.fake.log()[-1]["headers"]
    assert seen["x-api-key"] == PROVIDER_KEY
    assert "authorization" not in seen


@pytest.mark.parametrize("path", ["/v1/v1/messages", "/v1/messages/v1/messages"])
def test_a_base_url_that_was_pasted_wrong_works_all_the_same(on: Stage, path: str) -> None:
    body = {"model": MODEL, "max_tokens": 10, "messages": MESSAGES}
    answer = on.post(on.worker().key, path, json=body, headers={"anthropic-version": "2023-06-01"})
    assert answer.status_code == 200
    assert on.fake.log()[-1]["path"] == "/v1/messages"


def test_counting_tokens_costs_nothing_and_holds_nothing(on: Stage) -> None:
    worker = on.worker("0")
    counted = on.anthropic_client(worker.key).messages.count_tokens(model=MODEL, messages=MESSAGES)
    assert counted.input_tokens > 0
    assert worker.calls() == []


def test_models_are_listed_in_the_clients_dialect(on: Stage) -> None:
    client = on.anthropic_client(on.worker("0").key)
    names = [model.id for model in client.models.list()]
    assert MODEL in names
    assert not [name for name in names if name.startswith("gpt")]
    assert client.models.retrieve(MODEL).id == MODEL


def test_an_unknown_beta_is_refused_by_name(on: Stage) -> None:
    answer = on.post(
        on.worker().key,
        "/v1/messages",
        json={"model": MODEL, "max_tokens": 10, "messages": MESSAGES},
        headers={"anthropic-version": "2023-06-01", "anthropic-beta": "no-such-beta-2030-01-01"},
    )
    assert answer.status_code == 400
    assert re.search("no-such-beta-2030-01-01", answer.json()["error"]["message"])
    assert on.fake.stats()["requests"] == 0
