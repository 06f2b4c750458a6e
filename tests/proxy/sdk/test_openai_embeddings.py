"""The real OpenAI client's other calls of text: completions, embeddings, moderations."""

import openai
import pytest

from agents.models import Call
from tests.proxy.stage import Stage, all_settled, sent_body, settled


def test_a_completion_answers_and_is_billed_to_the_last_digit(on: Stage) -> None:
    worker = on.worker()
    response = on.openai_client(worker.key).completions.with_raw_response.create(
        model="gpt-3.5-turbo-instruct", prompt=["Say this [[tokens_out=9]]", "and that"], n=2, best_of=3, max_tokens=50
    )
    answer = response.parse()
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert settled(response.headers["x-awx-call-id"]).output_tokens == 9 * 3 * 2
    assert worker.spent_pico == on.fake.billed_pico() > 0


@pytest.mark.parametrize("wanted", [True, False])
def test_a_streamed_completion_shows_usage_only_to_those_who_ask(on: Stage, wanted: bool) -> None:
    options = {"stream_options": {"include_usage": True}} if wanted else {}
    worker = on.worker()
    stream = on.openai_client(worker.key).completions.create(
        model="davinci-002", prompt="Go", stream=True, max_tokens=20, extra_body=options
    )
    assert any(event.usage for event in stream) is wanted
    all_settled()
    assert worker.spent_pico == on.fake.billed_pico() > 0


def test_a_completion_without_a_bound_gets_the_apis_own(on: Stage) -> None:
    response = on.openai_client(on.worker().key).completions.with_raw_response.create(model="davinci-002", prompt="Go")
    assert sent_body(on)["max_tokens"] == 16
    assert response.headers["x-awx-max-output-tokens"] == "16"


def test_a_completion_over_the_budget_is_refused_before_the_provider(on: Stage) -> None:
    worker = on.worker("0.0001")
    with pytest.raises(openai.RateLimitError) as caught:
        on.openai_client(worker.key).completions.create(model="davinci-002", prompt="Go", max_tokens=4_000)
    assert caught.value.code == "insufficient_quota"
    assert on.fake.stats()["requests"] == 0


def test_embeddings_are_recorded_with_tokens_and_cost(on: Stage) -> None:
    """Scenario B17: embeddings write a row with their tokens and their cost."""
    worker = on.worker()
    response = on.openai_client(worker.key).embeddings.with_raw_response.create(
        model="text-embedding-3-large", input=["first [[tokens_in=60]]", "second"]
    )
    answer = response.parse()
    assert [len(one.embedding) for one in answer.data] == [8, 8]
    row = settled(response.headers["x-awx-call-id"])
    assert (row.endpoint, row.input_tokens, row.output_tokens, row.cost_pico) == ("embeddings", 60, 0, 60 * 130_000)
    assert sent_body(on)["encoding_format"] == "base64"  # the client's own choice


def test_embeddings_over_the_budget_are_refused_without_an_output_bound_to_lower(on: Stage) -> None:
    worker = on.worker("0.000001")
    worker.guard(clamp_output=True)
    with pytest.raises(openai.RateLimitError) as caught:
        on.openai_client(worker.key).embeddings.create(model="text-embedding-3-large", input="x" * 5_000)
    assert "would fit" not in caught.value.message
    assert on.fake.stats()["requests"] == 0


def test_moderations_are_free_and_leave_no_row(on: Stage) -> None:
    worker = on.worker("0")
    answer = on.openai_client(worker.key).moderations.create(input=["fine", "also fine"])
    assert [result.flagged for result in answer.results] == [False, False]
    assert not Call.objects.filter(agent_id=worker.agent.id).exists()
    assert sent_body(on)["model"] == "omni-moderation-latest"
