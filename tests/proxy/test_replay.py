"""Calls that the cache answers: the same bytes, nothing forwarded, held or charged, and never across tenants (B10)."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from accounts import credentials
from agents import budgets, keys
from agents.audit import audit
from agents.models import Agent, Guards, KeyMode
from agents.money import PICO_PER_USD
from proxy import replay
from proxy.providers import registry
from tests.proxy import stage
from tests.proxy.stage import PROVIDER_KEY, Stage, Worker, settled

DAY = 86_400
ANTHROPIC = {"anthropic-version": "2023-06-01"}
KEEP_SECONDS_MAX = 5.0


def chat(on: Stage, key: str, words: str, **fields: Any) -> httpx.Response:
    body = {"model": "gpt-4o", "max_tokens": 50, "messages": [{"role": "user", "content": f"Go [[{words}]]"}]}
    return on.post(key, json=body | fields)


def message(on: Stage, key: str, words: str, **fields: Any) -> httpx.Response:
    body = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": f"Go [[{words}]]"}]}
    return on.post(key, "/v1/messages", json=body | fields, headers=ANTHROPIC)


def plain(on: Stage, key: str, words: str, path: str, **fields: Any) -> httpx.Response:
    """A legacy completion, or an embedding."""
    text = f"Go [[{words}]]"
    of = {"completions": {"model": "davinci-002", "prompt": text, "max_tokens": 50}}
    body = of.get(path, {"model": "text-embedding-3-small", "input": text})
    return on.post(key, f"/v1/{path}", json=body | fields)


def caching(on: Stage, daily_usd: str = "5", **fields: Any) -> Worker:
    worker = on.worker(daily_usd)
    worker.guard(cache_seconds=DAY, **fields)
    return worker


def kept(on: Stage, ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Ask what nobody asked before, and wait until the answer is kept."""
    answer = stage.kept(on, ask)
    assert answer.headers["x-awx-cache"] == "miss"
    return answer


ASKS = [
    pytest.param(lambda on, key, words: chat(on, key, words), id="chat"),
    pytest.param(lambda on, key, words: chat(on, key, words, stream=True), id="chat, streamed"),
    pytest.param(
        lambda on, key, words: chat(on, key, words, stream=True, stream_options={"include_usage": True}),
        id="chat, streamed with usage",
    ),
    pytest.param(lambda on, key, words: plain(on, key, words, "completions"), id="completion"),
    pytest.param(lambda on, key, words: plain(on, key, words, "completions", stream=True), id="completion, streamed"),
    pytest.param(lambda on, key, words: plain(on, key, words, "embeddings"), id="embedding"),
    pytest.param(lambda on, key, words: message(on, key, words), id="message"),
    pytest.param(lambda on, key, words: message(on, key, words, stream=True), id="message, streamed"),
]


@pytest.mark.parametrize("ask", ASKS)
def test_an_equal_call_gets_the_same_bytes_at_no_cost(on: Stage, ask: Any) -> None:
    worker = caching(on)
    words = f"tokens_out=9 text={worker.agent.slug}"
    first = kept(on, lambda: ask(on, worker.key, words))
    made = settled(first.headers["x-awx-call-id"])
    second = ask(on, worker.key, words)
    assert (second.status_code, second.headers["x-awx-cache"]) == (200, "hit")
    assert (second.content, second.headers["content-type"]) == (first.content, first.headers["content-type"])
    assert float(second.headers["x-awx-call-cost"]) == 0
    row = settled(second.headers["x-awx-call-id"])
    assert (row.status, row.cost_pico, row.held_pico, row.counted, row.tokens) == ("cached", 0, 0, 0, 0)
    assert (row.http_status, row.balance_ids, row.basis) == (200, [], "none")
    assert row.facts == {"saved_pico": made.cost_pico, "original": str(made.call_id)}
    assert (row.provider, row.model, row.streamed) == (made.provider, made.model, made.streamed)
    assert on.fake.stats()["requests"] == 1
    assert worker.spent_pico == made.cost_pico == on.fake.billed_pico()
    assert worker.held_pico == 0


def test_a_hidden_usage_chunk_stays_hidden_and_a_wanted_one_there(on: Stage) -> None:
    """The bodies that leave are equal, what the clients see is not."""
    worker, words = caching(on), "tokens_out=9 text=hidden"
    plain = {"stream": True, "service_tier": "default"}
    wanted = plain | {"stream_options": {"include_usage": True}}
    kept(on, lambda: chat(on, worker.key, words, **plain))
    left = on.fake.log()[-1]["body"]
    kept(on, lambda: chat(on, worker.key, words, **wanted))
    assert on.fake.log()[-1]["body"] == left
    assert b'"usage"' not in chat(on, worker.key, words, **plain).content
    assert b'"usage":{"prompt_tokens"' in chat(on, worker.key, words, **wanted).content
    assert on.fake.stats()["requests"] == 2


def test_a_hit_passes_when_the_budget_is_gone(on: Stage) -> None:
    worker = caching(on, "0.01")
    kept(on, lambda: chat(on, worker.key, "text=gone"))
    budgets.set_limit(worker.agent.budgets.get(), 0, by=on.alice.user)
    assert chat(on, worker.key, "text=another").status_code == 429
    again = chat(on, worker.key, "text=gone")
    assert (again.status_code, again.headers["x-awx-cache"]) == (200, "hit")
    assert "x-awx-budget-limit" not in again.headers


def test_agents_of_one_organisation_share_answers_where_both_want_it(on: Stage) -> None:
    kept(on, lambda: chat(on, caching(on).key, "text=shared"))
    assert chat(on, caching(on).key, "text=shared").headers["x-awx-cache"] == "hit"
    plain = chat(on, on.worker().key, "text=shared")
    assert "x-awx-cache" not in plain.headers
    assert on.fake.stats()["requests"] >= 2


def test_charlie_gets_no_hit_for_what_alice_asked(on: Stage) -> None:
    """E4: the stranger's equal call goes to the provider; so does nothing of ours tell that anybody asked it."""
    kept(on, lambda: chat(on, caching(on).key, "text=tenants"))
    agent = _charlies_agent(on)
    Guards.objects.create(agent=agent, cache_seconds=DAY)
    _, key = keys.issue(agent, KeyMode.LIVE, by=on.charlie.user)
    before = on.fake.stats()["requests"]
    answer = chat(on, key, "text=tenants")
    assert (answer.status_code, answer.headers["x-awx-cache"]) == (200, "miss")
    assert on.fake.stats()["requests"] == before + 1


def test_an_agent_takes_no_answer_older_than_its_own_choice(on: Stage) -> None:
    kept(on, lambda: chat(on, caching(on).key, "text=old"))
    hasty = on.worker()
    hasty.guard(cache_seconds=1)
    deadline = time.monotonic() + KEEP_SECONDS_MAX
    while chat(on, hasty.key, "text=old").headers["x-awx-cache"] == "hit":
        assert time.monotonic() < deadline, "an answer older than a second was given"


@pytest.mark.parametrize(
    "change",
    [{"max_tokens": 51}, {"temperature": 0}, {"model": "gpt-4o-mini"}, {"stream": True}, {"user": "u-1"}],
    ids=lambda change: next(iter(change)),
)
def test_whatever_differs_in_the_body_is_another_question(on: Stage, change: dict[str, Any]) -> None:
    worker = caching(on)
    words = f"text=exact-but-for-{next(iter(change))}"
    kept(on, lambda: chat(on, worker.key, words))
    assert chat(on, worker.key, words, **change).headers["x-awx-cache"] == "miss"


@pytest.mark.parametrize("words", ["status=500", "status=400", "no_usage=1", "cut_after=2", "error_after=2"])
@pytest.mark.parametrize("stream", [False, True])
def test_only_whole_successful_answers_are_kept(on: Stage, words: str, stream: bool) -> None:
    worker = caching(on)
    if words == "error_after=2" and not stream:
        words = "usage=text"  # only streams end in an error event
    for number in range(2):
        answer = chat(on, worker.key, f"{words} text=never", stream=stream)
        settled(answer.headers["x-awx-call-id"])
        assert on.fake.stats()["requests"] == number + 1


def test_an_answer_under_a_bound_that_had_to_shrink_is_not_kept(on: Stage) -> None:
    worker = caching(on, "0.05", clamp_output=True)
    for number in range(2):
        answer = chat(on, worker.key, "text=shrunk tokens_in=10", max_tokens=32_000)
        assert int(answer.headers["x-awx-max-output-tokens"]) < 32_000
        settled(answer.headers["x-awx-call-id"])
        assert on.fake.stats()["requests"] == number + 1


def test_practice_calls_are_not_kept(on: Stage) -> None:
    worker = caching(on)
    _, key = keys.issue(worker.agent, KeyMode.TEST, by=on.alice.user)
    answers = [chat(on, key, "text=practice") for _ in range(2)]
    assert not any("x-awx-cache" in answer.headers for answer in answers)


def test_a_paused_agent_and_a_revoked_key_get_no_hit_at_the_very_next_call(on: Stage) -> None:
    worker = caching(on)
    kept(on, lambda: chat(on, worker.key, "text=paused"))
    budgets.pause(worker.agent, by=on.alice.user)
    assert chat(on, worker.key, "text=paused").status_code == 403
    budgets.resume(worker.agent, by=on.alice.user)
    deadline = time.monotonic() + 2
    while chat(on, worker.key, "text=paused").status_code != 200:
        assert time.monotonic() < deadline
    keys.revoke(worker.agent.keys.get(), by=on.alice.user)
    assert chat(on, worker.key, "text=paused").status_code == 401


def test_a_model_outside_the_list_gets_no_hit(on: Stage) -> None:
    kept(on, lambda: chat(on, caching(on).key, "text=listed"))
    other = caching(on, allowed_models=["gpt-4o-mini"])
    assert chat(on, other.key, "text=listed").status_code == 403


def test_switching_the_cache_off_holds_for_the_next_call(on: Stage) -> None:
    worker = caching(on)
    kept(on, lambda: chat(on, worker.key, "text=off"))
    worker.guard(cache_seconds=None)
    assert "x-awx-cache" not in chat(on, worker.key, "text=off").headers


def test_a_cached_call_is_found_by_its_agent_and_the_books_still_agree(on: Stage) -> None:
    worker = caching(on)
    kept(on, lambda: chat(on, worker.key, "text=found"))
    call_id = chat(on, worker.key, "text=found").headers["x-awx-call-id"]
    settled(call_id)
    state = on.get(worker.key, f"/v1/calls/{call_id}").json()
    assert (state["status"], state["cost"], state["held"]) == ("cached", "0.000000", "0.000000")
    assert [check.breaches for check in audit().checks if check.breaches] == []


def _charlies_agent(on: Stage) -> Agent:
    credentials.connect(on.charlie.organization, "openai", PROVIDER_KEY, by=on.charlie.user)
    return budgets.create_agent(
        on.charlie.organization, "reader", daily_limit_pico=5 * PICO_PER_USD, by=on.charlie.user
    )


@pytest.mark.parametrize("name", ["image_generations", "image_edits", "speech", "transcriptions", "translations"])
def test_sounds_and_images_are_never_kept(name: str) -> None:
    (endpoint,) = (one for one in registry.endpoints() if one.name == name)
    caller = SimpleNamespace(practice=False, guards=SimpleNamespace(cache_seconds=DAY))
    plan: Any = SimpleNamespace(caller=caller, request=None, route=SimpleNamespace(endpoint=endpoint))
    process: Any = None  # nothing of it is needed to know
    assert replay.is_on(plan.caller)
    assert replay.place_for(process, plan, {}) is None
