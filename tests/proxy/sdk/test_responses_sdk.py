"""The real OpenAI client's responses through the proxy: made, streamed, kept, continued and asked for again."""

import re
import time
from typing import Any

import httpx
import openai
import pytest
from django.db import connection, transaction

from agents import keys
from agents.models import KeyMode, StoredResponse
from agents.money import usd_exact
from tests.proxy.stage import PROVIDER_KEY, Stage, Worker, all_settled, connect_providers, kept, sent_body, settled

SAY = "Say hello [[tokens_out=50 cached=10 tokens_in=60]]"
RANDOM = {"id", "created_at", "output", "service_tier"}
LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}, "strict": False}


def create(on: Stage, worker: Worker, **fields: Any) -> Any:
    """A response and the headers of its answer."""
    client = on.openai_client(worker.key, max_retries=0)
    raw = client.responses.with_raw_response.create(**{"model": "gpt-4o", "input": SAY, **fields})
    return raw.parse(), raw.headers


def refused(on: Stage, key: str, **fields: Any) -> openai.APIStatusError:
    """The exception of a call that must not reach the provider."""
    before = on.fake.stats()["requests"]
    with pytest.raises(openai.APIStatusError) as caught:
        on.openai_client(key).responses.create(**{"model": "gpt-4o", "input": SAY, **fields})
    assert on.fake.stats()["requests"] == before
    assert caught.value.response.headers["x-should-retry"] == "false"
    return caught.value


def stranger(on: Stage) -> str:
    """A key of Charlie's agent, whose organisation has the same account at the provider."""
    connect_providers(on.charlie)
    return keys.issue(on.charlie.agent, KeyMode.LIVE, by=on.charlie.user)[1]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-5", "gpt-6.1-sol"])
def test_the_book_agrees_with_the_bill_to_the_last_digit(on: Stage, model: str, stream: bool) -> None:
    worker = on.worker()
    answer, headers = create(on, worker, model=model, stream=stream)
    if stream:
        kinds = [event.type for event in answer]
        assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    row = settled(headers["x-awx-call-id"])
    assert (row.endpoint, row.basis, row.cost_pico) == ("responses", "usage", on.fake.billed_pico())
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens) == (50, 10, 50)
    assert worker.spent_pico == on.fake.billed_pico() > 0
    assert worker.held_pico == 0


def test_a_plain_response_is_as_it_would_be_directly(on: Stage) -> None:
    direct = on.direct_openai().responses.create(model="gpt-4o", input=SAY, max_output_tokens=500)
    through, headers = create(on, on.worker(), max_output_tokens=500)
    told = [one.model_dump(exclude_unset=True, exclude=RANDOM) for one in (direct, through)]
    assert told[0] == told[1]
    assert through.output_text == direct.output_text
    assert headers["x-awx-call-cost"]
    assert "x-awx-max-output-tokens" not in headers


def test_the_bytes_of_a_stream_are_those_of_the_provider(on: Stage) -> None:
    body = {"model": "gpt-4o", "input": SAY, "stream": True, "service_tier": "default", "max_output_tokens": 90}
    headers = {"authorization": f"Bearer {PROVIDER_KEY}"}
    direct = httpx.post(f"{on.fake.openai_base_url}/responses", json=body, headers=headers)
    through = on.post(on.worker().key, "/v1/responses", json=body)

    def masked(text: str) -> str:
        return re.sub(r'"(id|item_id|created_at|obfuscation)":("[^"]*"|\d+)', r'"\1":-', text)

    assert masked(through.text) == masked(direct.text)
    assert "[DONE]" not in through.text


def test_tools_are_called_and_their_outputs_sent_back(on: Stage) -> None:
    worker = on.worker()
    first, headers = create(on, worker, input="Look [[tool_calls=2]]", tools=[LOOK], store=False)
    calls = [item for item in first.output if item.type == "function_call"]
    assert settled(headers["x-awx-call-id"]).tool_call_count == len(calls) == 2
    outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": "5"} for call in calls]
    items = [{"role": "user", "content": "Look"}, *(call.model_dump(exclude_unset=True) for call in calls), *outputs]
    second, _ = create(on, worker, input=items, tools=[LOOK], store=False)
    assert second.output_text
    assert sent_body(on)["input"] == items


def test_a_response_over_the_budget_is_one_request_and_a_rate_limit_error(on: Stage) -> None:
    error = refused(on, on.worker("0.0001").key, max_output_tokens=2_000)
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "insufficient_quota"
    assert "An output bound of" not in error.message
    error = refused(on, on.worker().key, background=True)
    assert isinstance(error, openai.BadRequestError)
    assert (error.code, error.param) == ("unbounded_call", "background")


def test_five_retrievals_of_one_response_are_one_charge(on: Stage) -> None:
    """Scenario B13: retrieve bills nothing."""
    worker = on.worker()
    client = on.openai_client(worker.key)
    made, headers = create(on, worker)
    settled(headers["x-awx-call-id"])
    spent_pico = worker.spent_pico
    for _ in range(5):
        assert client.responses.retrieve(made.id).output_text == made.output_text
    assert client.responses.input_tokens.count(model="gpt-4o", input=SAY).input_tokens > 0
    assert [row.call_id for row in worker.calls()] == [settled(headers["x-awx-call-id"]).call_id]
    assert worker.spent_pico == spent_pico == on.fake.billed_pico() > 0
    assert worker.held_pico == 0


def test_input_items_are_listed_and_a_deleted_response_is_gone(on: Stage) -> None:
    worker = on.worker()
    client = on.openai_client(worker.key)
    made, _ = create(on, worker)
    [item] = client.responses.input_items.list(made.id, limit=5, order="asc").data
    assert item.type == "message"
    assert on.fake.log()[-1]["query"] == "limit=5&order=asc"
    with pytest.raises(openai.BadRequestError):  # as for a call: nothing is forwarded
        client.responses.delete(made.id, extra_headers={"X-AWX-Daily-Budget": "five"})
    client.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    assert refused(on, worker.key, previous_response_id=made.id).code == "unbounded_call"
    assert not StoredResponse.objects.filter(response_id=made.id).exists()


def test_a_continued_response_is_bounded_by_all_that_it_reads_and_counted_once(on: Stage) -> None:
    worker = on.worker()
    first, _ = create(on, worker, max_output_tokens=100)
    second, headers = create(on, worker, input="More", previous_response_id=first.id, max_output_tokens=100)
    row = settled(headers["x-awx-call-id"])
    assert row.input_tokens > first.usage.total_tokens == 110
    assert sent_body(on)["previous_response_id"] == first.id
    read_at_most = len(on.fake.log()[-1]["body"]) + 64 + 110
    assert row.held_pico == read_at_most * 2_500_000 + 100 * 10_000_000
    note = StoredResponse.objects.get(response_id=second.id)
    assert (note.input_tokens, note.output_tokens) == (second.usage.input_tokens, second.usage.output_tokens)
    third, _ = create(on, worker, input="More", previous_response_id=second.id, stream=True)
    assert list(third)[-1].response.usage.input_tokens > second.usage.total_tokens


@pytest.mark.parametrize(
    "fields",
    [
        {"truncation": "auto"},
        {"context_management": [{"type": "clear_tool_uses"}]},
        {"reasoning": {"context": "current_turn"}},
    ],
)
def test_what_an_answer_left_out_is_held_by_the_next(on: Stage, fields: dict[str, Any]) -> None:
    worker = on.worker()
    say = "Hello [[tokens_in=60 tokens_out=50]] " + "a" * 1_000
    made, _ = create(on, worker, model="gpt-5", input=say, **fields)
    note = StoredResponse.objects.get(response_id=made.id)
    assert note.input_tokens == len(on.fake.log()[-1]["body"]) + 64 > made.usage.input_tokens == 60
    error = refused(on, worker.key, model="gpt-5", previous_response_id=made.id, reasoning={"context": "all_turns"})
    assert (error.code, error.param) == ("unbounded_call", "reasoning.context")


@pytest.mark.parametrize("stream", [False, True])
def test_the_parts_of_an_answer_may_be_sent_again_by_their_ids_alone(on: Stage, stream: bool) -> None:
    """As the Agents SDK sends reasoning, and other clients every part, in the turn after a tool call."""
    worker = on.worker()
    say = "Look [[tokens_in=60 tokens_out=50 reasoning=30 thoughts=1 tool_calls=1]]"
    first, _ = create(on, worker, model="gpt-5", input=say, tools=[LOOK], stream=stream)
    thought, call = (list(first)[-1].response if stream else first).output
    answer = {"type": "function_call_output", "call_id": call.call_id, "output": "5"}
    by_id: Any = {"type": "item_reference", "id": call.id}
    items: Any = [{"role": "user", "content": say}, thought.to_dict(), by_id, answer]
    _, headers = create(on, worker, model="gpt-5", input=items, tools=[LOOK], max_output_tokens=100)
    row = settled(headers["x-awx-call-id"])
    assert sent_body(on)["input"] == items
    without, _ = create(on, worker, model="gpt-5", input=[items[0], answer], tools=[LOOK], max_output_tokens=100)
    notes = StoredResponse.objects.filter(agent_id=worker.agent.pk, response_id__startswith="item ")
    assert dict(notes.values_list("response_id", "output_tokens"))[f"item {thought.id}"] == 50
    assert row.held_pico >= (len(on.fake.log()[-2]["body"]) + 64 + 50 + 50) * 1_250_000 + 100 * 10_000_000
    assert without.id
    for key in (stranger(on), on.worker().key):
        error = refused(on, key, model="gpt-5", input=items, tools=[LOOK])
        assert (error.code, error.param) == ("unbounded_call", "input[1]")
    other = refused(on, worker.key, model="gpt-4o", input=items, tools=[LOOK])
    assert (other.code, other.param) == ("unbounded_call", "input[1]")


def test_a_part_is_not_an_answer(on: Stage) -> None:
    worker = on.worker()
    made, _ = create(on, worker)
    [message] = made.output
    for name in (message.id, f"item {message.id}"):
        assert refused(on, worker.key, previous_response_id=name).code == "unbounded_call"
    with pytest.raises(openai.NotFoundError):
        on.openai_client(worker.key).responses.retrieve(message.id)
    items = {"type": "item_reference", "id": made.id}, {"id": f"item {message.id}"}, {"type": "reasoning", "id": "x"}
    for item in items:
        assert refused(on, worker.key, input=[item]).param == "input[0]"


def test_a_count_of_a_continued_response_asks_the_provider(on: Stage) -> None:
    worker = on.worker()
    made, _ = create(on, worker)
    count = on.openai_client(worker.key).responses.input_tokens.count
    assert count(model="gpt-4o", input="More", previous_response_id=made.id).input_tokens > 110
    with pytest.raises(openai.BadRequestError):
        on.openai_client(stranger(on)).responses.input_tokens.count(model="gpt-4o", previous_response_id=made.id)


def test_what_another_agent_made_is_as_if_nobody_had_made_it(on: Stage) -> None:
    """Charlie, and Alice's other agent, learn nothing of the id; nothing of it reaches the provider."""
    made, _ = create(on, on.worker())
    for key in (stranger(on), on.worker().key):
        before = on.fake.stats()["requests"]
        for response_id in (made.id, "resp_" + "0" * 48):
            client = on.openai_client(key)
            calls: Any = (client.responses.retrieve, client.responses.delete, client.responses.input_items.list)
            for call in calls:
                with pytest.raises(openai.NotFoundError) as caught:
                    call(response_id)
                assert caught.value.message.replace(response_id, "-").count("There is no response -") == 1
        assert on.fake.stats()["requests"] == before
    theirs, nobodys = (refused(on, stranger(on), previous_response_id=one) for one in (made.id, "resp_0"))
    assert (theirs.message, theirs.param) == (nobodys.message, "previous_response_id")
    assert on.direct_openai().responses.retrieve(made.id).id == made.id


@pytest.mark.parametrize(
    ("words", "fields", "says"),
    [
        ("", {"model": "gpt-4o-mini"}, "gpt-4o"),
        ("no_usage=1", {}, "did not say how long"),
        ("usage=unknown", {}, "did not say how long"),
        ("failed=1", {}, "did not say how long"),
    ],
)
def test_a_response_whose_length_is_not_known_cannot_be_continued(
    on: Stage, words: str, fields: dict[str, Any], says: str
) -> None:
    worker = on.worker()
    made, _ = create(on, worker, input=f"Hello [[{words}]]", max_output_tokens=50)
    error = refused(on, worker.key, previous_response_id=made.id, **fields)
    assert (error.code, error.param) == ("unbounded_call", "previous_response_id")
    assert says in error.message
    assert on.openai_client(worker.key).responses.retrieve(made.id).id == made.id


def test_an_answer_that_is_not_kept_is_not_noted(on: Stage) -> None:
    worker = on.worker()
    made, _ = create(on, worker, store=False)
    assert not StoredResponse.objects.filter(response_id=made.id).exists()
    assert refused(on, worker.key, previous_response_id=made.id).code == "unbounded_call"


def test_a_response_is_not_read_as_a_stream_nor_cancelled_or_compacted(on: Stage) -> None:
    worker = on.worker()
    made, _ = create(on, worker)
    client = on.openai_client(worker.key)
    before = on.fake.stats()["requests"]
    for call in (
        lambda: client.responses.retrieve(made.id, stream=True),
        lambda: client.responses.cancel(made.id),
        lambda: client.responses.compact(model="gpt-4o", input="hi"),
    ):
        with pytest.raises(openai.PermissionDeniedError) as caught:
            call()
        assert caught.value.code == "unsupported_endpoint"
    assert on.fake.stats()["requests"] == before


def test_practice_responses_are_continued_apart_from_live_ones(on: Stage) -> None:
    worker = on.worker("0")
    test_key = keys.issue(worker.agent, KeyMode.TEST, by=on.alice.user)[1]
    client = on.openai_client(test_key)
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model="gpt-5", input="hi")
    worker = on.worker("5")
    test_key = keys.issue(worker.agent, KeyMode.TEST, by=on.alice.user)[1]
    client = on.openai_client(test_key)
    first = client.responses.create(model="gpt-5", input="hi")
    events = list(client.responses.create(model="gpt-5", input="on", previous_response_id=first.id, stream=True))
    last: Any = events[-1]
    assert last.response.usage.input_tokens > first.usage.total_tokens  # type: ignore[union-attr]
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    assert refused(on, worker.key, model="gpt-5", previous_response_id=first.id).code == "unbounded_call"
    assert on.fake.stats()["requests"] == 0


@pytest.mark.parametrize(("kind", "fee_pico"), [("web_search", 10**10), ("web_search_preview", 25 * 10**9)])
def test_a_search_costs_what_its_kind_costs_on_a_model_that_does_not_reason(
    on: Stage, kind: str, fee_pico: int
) -> None:
    worker = on.worker("20")
    worker.guard(hosted_tools={"web_search": 3})
    tools: Any = [{"type": kind}]
    _, headers = create(on, worker, model="gpt-4o", input="Go [[searches=2]]", tools=tools, max_output_tokens=500)
    row = settled(headers["x-awx-call-id"])
    assert row.cost_pico == on.fake.billed_pico() > 2 * fee_pico
    assert row.held_pico == 4 * 128_000 * 2_500_000 + 500 * 10_000_000 + 3 * fee_pico


def test_a_web_search_needs_the_agents_leave_and_is_billed_by_the_search(on: Stage) -> None:
    tools: Any = [{"type": "web_search"}]
    assert refused(on, on.worker().key, model="gpt-5", tools=tools).code == "unpriced_feature"
    worker = on.worker("20")
    worker.guard(hosted_tools={"web_search": 3})
    _, headers = create(on, worker, model="gpt-5", input="Go [[searches=2]]", tools=tools, max_output_tokens=500)
    assert sent_body(on)["max_tool_calls"] == 3
    row = settled(headers["x-awx-call-id"])
    assert row.cost_pico == on.fake.billed_pico() > 2 * 10**10
    assert row.held_pico == 4 * 272_000 * 1_250_000 + 500 * 10_000_000 + 3 * 10**10
    assert refused(on, worker.key, model="gpt-5", tools=tools, max_tool_calls=4).code == "insufficient_quota"


def test_usage_that_never_came_is_charged_at_the_ceiling(on: Stage) -> None:
    """C5: chunks were relayed and usage never came, so the whole hold is the charge."""
    worker = on.worker()
    answer, headers = create(on, worker, input="Go [[cut_after=4 tokens_out=50]]", stream=True, max_output_tokens=100)
    made = next(answer).response.id
    with pytest.raises(openai.APIError):
        list(answer)
    row = settled(headers["x-awx-call-id"])
    assert (row.basis, row.reason) == ("worst_case", "provider_cut_off")
    assert row.cost_pico == row.held_pico >= on.fake.billed_pico() > 0
    # The provider keeps what it made of it.
    assert on.openai_client(worker.key).responses.retrieve(made).id == made
    assert refused(on, worker.key, previous_response_id=made).code == "unbounded_call"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_is_charged_what_the_provider_bills(on: Stage, stream: bool) -> None:
    """C3 and C5 on this endpoint: the stream is read on for its bill."""
    worker = on.worker()
    body = {"model": "gpt-4o", "input": "Go [[chunk_ms=20 chunks=10 delay_ms=200]]", "stream": stream}
    url, headers = f"{on.server.openai_base_url}/responses", {"authorization": f"Bearer {worker.key}"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(url, json=body, headers=headers, timeout=0.1)
    all_settled()
    [row] = worker.calls()
    assert row.basis == "usage"
    assert row.cost_pico == on.fake.billed_pico() > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_failed_response_is_charged_by_its_usage(on: Stage, stream: bool) -> None:
    worker = on.worker()
    answer, headers = create(on, worker, input="Go [[failed=1]]", stream=stream)
    if stream:
        assert [event.type for event in answer][-1] == "response.failed"
    row = settled(headers["x-awx-call-id"])
    assert (row.basis, row.cost_pico) == ("usage", on.fake.billed_pico())
    assert row.failed == stream


def test_the_same_work_on_three_endpoints_moves_the_same_counter(on: Stage) -> None:
    """B18, and B12: each call is one row and one charge."""
    worker = on.worker()
    client, claude = on.openai_client(worker.key), on.anthropic_client(worker.key)
    said: Any = [{"role": "user", "content": SAY}]
    spent = []
    for call in (
        lambda: client.chat.completions.create(model="gpt-4o", messages=said),
        lambda: client.responses.create(model="gpt-4o", input=said),
        lambda: claude.messages.create(model="claude-opus-5-5", messages=said, max_tokens=100),
    ):
        call()
        all_settled()
        rows = worker.calls()
        spent.append(worker.spent_pico)
        assert worker.spent_pico == on.fake.billed_pico() == sum(row.cost_pico for row in rows)
    assert [row.endpoint for row in worker.calls()] == ["chat", "responses", "messages"]
    assert spent == sorted(set(spent))
    assert on.fake.stats()["billed"] == 3


def test_the_row_keeps_what_loops_and_the_log_are_told_by(on: Stage) -> None:
    worker = on.worker()
    rows = []
    for instructions in ("Be brief.", "Be long."):
        _, headers = create(on, worker, instructions=instructions, user="user-7")
        rows.append(settled(headers["x-awx-call-id"]))
    assert {row.last_message_fingerprint for row in rows} == {rows[0].last_message_fingerprint}
    assert len({row.body_fingerprint for row in rows}) == 2
    assert [(row.system_bytes, row.user_subject) for row in rows] == [(9, "user-7"), (8, "user-7")]


def test_only_answers_that_nobody_keeps_come_from_the_cache(on: Stage) -> None:
    worker = on.worker()
    worker.guard(cache_seconds=3_600)
    for _ in range(2):
        _, headers = create(on, worker, store=True)
        assert headers["x-awx-cache"] == "miss"
        settled(headers["x-awx-call-id"])
    _, first = kept(on, lambda: create(on, worker, store=False))
    _, second = create(on, worker, store=False)
    assert (first["x-awx-cache"], second["x-awx-cache"]) == ("miss", "hit")
    made, _ = create(on, worker)
    continued = [create(on, worker, store=False, previous_response_id=made.id)[1]["x-awx-cache"] for _ in range(2)]
    assert continued == ["miss", "miss"]


def test_the_end_of_an_answer_waits_for_its_note_and_no_longer_than_a_moment(on: Stage) -> None:
    """A database that cannot write holds a stream's end back for a quarter of a second, and breaks nothing."""
    worker = on.worker()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE stored_response IN EXCLUSIVE MODE")
        stream, _ = create(on, worker, input="Hello [[chunk_ms=10]]", stream=True)
        came_at, made = {}, ""
        for event in stream:
            came_at[event.type] = time.monotonic()
            made = event.response.id if event.type == "response.completed" else made
        waited_seconds = came_at["response.completed"] - came_at["response.content_part.done"]
        assert 0.2 < waited_seconds < 5
        assert refused(on, worker.key, previous_response_id=made).param == "previous_response_id"
    deadline = time.monotonic() + 10
    while not StoredResponse.objects.filter(response_id=made).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    create(on, worker, input="More", previous_response_id=made)


def test_an_estimate_reads_a_response_as_the_call_would_be_read(on: Stage) -> None:
    worker = on.worker()
    made, headers = create(on, worker, max_output_tokens=100)
    body = {"model": "gpt-4o", "input": SAY, "max_output_tokens": 100}
    told = on.post(worker.key, "/v1/estimate", json=body).json()
    row = settled(headers["x-awx-call-id"])
    assert (told["admitted"], told["output_tokens_max"]) == (True, 100)
    assert told["ceiling"] == usd_exact(row.held_pico)
    longer = on.post(worker.key, "/v1/estimate", json=body | {"previous_response_id": made.id}).json()
    assert longer["input_tokens_max"] > told["input_tokens_max"] + made.usage.total_tokens
    assert on.post(worker.key, "/v1/estimate", json=body | {"previous_response_id": "resp_0"}).status_code == 400
