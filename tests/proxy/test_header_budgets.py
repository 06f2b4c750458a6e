"""What calls name in their headers: sessions, users, sub-agents, and limits that only tighten (W6, W7)."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from agents import budgets, guards
from agents.budget_terms import BudgetTerms
from agents.models import Budget
from agents.money import parse_usd
from tests.proxy.stage import Stage, Worker, all_settled, settled

BODY: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hello [[tokens_out=20]]"}],
    "max_tokens": 30,
}
# Room for one call of BODY, and after it has settled not for another.
ONE_CALL_USD = "0.00005"


def call(on: Stage, worker: Worker, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return on.post(worker.key, json=BODY, headers=names)


def until_passes(on: Stage, worker: Worker, **headers: str) -> None:
    """What is loosened may be refused from memory for 250 ms more (product.md B5)."""
    deadline = time.monotonic() + 5
    while call(on, worker, **headers).status_code != 200:
        assert time.monotonic() < deadline


def test_a_call_keeps_its_names_in_the_book(on: Stage) -> None:
    names = {"x_awx_session_id": "run-7", "x_awx_user_id": "u-1", "x_awx_agent_id": "Writer"}
    answer = call(on, on.worker(), x_awx_tags="team=a, b=c d", **names)
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.session, row.user_subject, row.sub_agent) == ("run-7", "u-1", "writer")
    assert row.tags == {"team": "a", "b": "c d"}


def test_no_awx_header_reaches_the_provider(on: Stage) -> None:
    call(on, on.worker(), x_awx_session_id="run-7", x_awx_tags="a=b", x_awx_daily_budget="1")
    assert on.fake.stats()["violations"] == 0


def test_a_daily_budget_in_a_header_only_tightens_and_only_for_its_call(on: Stage) -> None:
    """E8, E9: a client can lower what it may spend and never raise it."""
    worker = on.worker("5")
    refused = call(on, worker, x_awx_daily_budget="0.000001")
    assert refused.status_code == 429
    assert refused.json()["error"]["awx"]["reason"] == "call_too_expensive"
    assert refused.json()["error"]["awx"]["limit"] == "0.000001"
    assert call(on, worker).status_code == 200
    poor = on.worker("0.000001")
    assert call(on, poor, x_awx_daily_budget="100").status_code == 429


def test_a_session_budget_in_a_header_holds_for_all_calls_of_the_session(on: Stage) -> None:
    """A1: of many calls at once, only those that fit reach the provider."""
    worker = on.worker("5")
    headers = {"x_awx_session_id": "run-1", "x_awx_session_budget": ONE_CALL_USD}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: call(on, worker, **headers), range(8)))
    passed = [answer for answer in answers if answer.status_code == 200]
    # The first holds its ceiling; others may follow once it settled for less, but never more than fits.
    assert passed
    all_settled()
    spent_pico = sum(row.cost_pico for row in worker.calls())
    assert spent_pico <= parse_usd(ONE_CALL_USD)
    refusal = next(answer for answer in answers if answer.status_code == 429).json()["error"]["awx"]
    assert (refusal["scope"], refusal["name"], refusal["window"]) == ("session", "run-1", "session")
    assert call(on, worker, **{**headers, "x_awx_session_id": "run-2"}).status_code == 200


def test_a_sub_agent_has_its_own_daily_budget_under_its_agents(on: Stage) -> None:
    worker = on.worker("5")
    headers = {"x_awx_agent_id": "researcher", "x_awx_daily_budget": ONE_CALL_USD}
    first = call(on, worker, **headers)
    assert first.status_code == 200
    settled(first.headers["x-awx-call-id"])
    second = call(on, worker, **headers)
    assert second.status_code == 429
    refusal = second.json()["error"]["awx"]
    assert (refusal["scope"], refusal["name"]) == ("sub_agent", "researcher")
    assert call(on, worker, **{**headers, "x_awx_agent_id": "writer"}).status_code == 200
    assert call(on, worker).status_code == 200


def test_twenty_first_calls_of_an_unknown_sub_agent_share_one_budget(on: Stage) -> None:
    """A2: one budget row exists and the cap holds, though no row existed before."""
    worker = on.worker("5")
    headers = {"x_awx_agent_id": "new-role", "x_awx_daily_budget": ONE_CALL_USD}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: call(on, worker, **headers), range(20)))
    assert {answer.status_code for answer in answers} == {200, 429}
    all_settled()
    assert Budget.objects.filter(agent=worker.agent, scope="sub_agent").count() == 1
    assert sum(row.cost_pico for row in worker.calls()) <= parse_usd(ONE_CALL_USD)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-awx-daily-budget", "-7"),
        ("x-awx-daily-budget", "NaN"),
        ("x-awx-daily-budget", "1e309"),
        ("x-awx-daily-budget", "10,5"),
        ("x-awx-daily-budget", ""),
        ("x-awx-session-budget", "5"),
        ("x-awx-agent-id", "no/slash"),
        ("x-awx-agent-id", "x" * 65),
        ("x-awx-session-id", "x" * 129),
        ("x-awx-tags", "no-equals-sign"),
        ("x-awx-tags", ",".join(f"t{n}=1" for n in range(17))),
    ],
)
def test_a_header_that_cannot_be_used_is_refused_by_name(on: Stage, header: str, value: str) -> None:
    """A14: nothing is forwarded and nothing is counted."""
    worker, before = on.worker(), on.fake.stats()["requests"]
    for path in ("/v1/chat/completions", "/v1/responses/input_tokens"):
        answer = on.post(worker.key, path, json=BODY, headers={header: value})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == header
    assert on.fake.stats()["requests"] == before
    assert worker.spent_pico == worker.held_pico == 0


def test_the_same_header_twice_or_two_agents_are_refused(on: Stage) -> None:
    answer = call(on, on.worker(), x_awx_agent_id="one", x_agent_id="two")
    assert answer.status_code == 400


def test_a_budget_per_user_counts_the_header_before_the_bodys_user(on: Stage) -> None:
    worker = on.worker("5")
    terms = BudgetTerms(scope="agent_user", limit=parse_usd(ONE_CALL_USD))
    budgets.create_budget(on.alice.organization, worker.agent, terms, None)
    first = call(on, worker, x_awx_user_id="u-1")
    settled(first.headers["x-awx-call-id"])
    assert call(on, worker, x_awx_user_id="u-1").json()["error"]["awx"]["name"] == "u-1"
    other = on.post(worker.key, json=BODY | {"user": "u-2"}, headers={})
    assert other.status_code == 200
    settled(other.headers["x-awx-call-id"])
    assert on.post(worker.key, json=BODY | {"user": "u-2"}, headers={}).status_code == 429
    assert on.post(worker.key, json=BODY | {"user": "u-2"}, headers={"x-awx-user-id": "u-3"}).status_code == 200


def test_a_budget_per_model_counts_every_name_of_the_model(on: Stage) -> None:
    worker = on.worker("5")
    terms = BudgetTerms(scope="model", limit=parse_usd(ONE_CALL_USD))
    budgets.create_budget(on.alice.organization, worker.agent, terms, None)
    settled(call(on, worker).headers["x-awx-call-id"])
    for name in ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", "openai/gpt-4o-mini"):
        assert on.post(worker.key, json=BODY | {"model": name}).status_code == 429
    other = on.post(worker.key, json=BODY | {"model": "gpt-4o"}).json()["error"]["awx"]
    assert (other["reason"], other["name"], other["spent"]) == ("call_too_expensive", "gpt-4o", "0.000000")


def test_more_calls_at_a_time_than_allowed_are_told_to_come_back(on: Stage) -> None:
    """A17, A18."""
    worker = on.worker("5")
    guards.set_guards(worker.agent, {"max_parallel": 1}, None)
    slow = BODY | {"messages": [{"role": "user", "content": "[[tokens_out=5 delay_ms=1500]]"}]}
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: on.post(worker.key, json=slow), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 429, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    told = refused.json()["error"]["awx"]
    assert (told["reason"], told["unit"], told["limit"], told["held"]) == ("rate_limited", "parallel", "1", "1")
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-should-retry"] == "true"
    all_settled()
    assert on.post(worker.key, json=BODY).status_code == 200


def test_a_session_with_too_many_calls_is_a_loop_where_the_rule_blocks(on: Stage) -> None:
    worker = on.worker("5")
    guards.set_guards(worker.agent, {"session_mode": "block", "session_calls": 2}, None)
    for _ in range(2):
        settled(call(on, worker, x_awx_session_id="s").headers["x-awx-call-id"])
    refused = call(on, worker, x_awx_session_id="s").json()["error"]
    told = [refused["awx"][name] for name in ("reason", "scope", "name", "limit", "spent", "held", "available")]
    assert told == ["loop_detected", "session", "s", "2", "2", "0", "0"]
    assert "Start a new session" in refused["message"]  # the agent runs: there is nothing to resume
    assert call(on, worker, x_awx_session_id="t").status_code == 200
    assert call(on, worker).status_code == 200


def test_a_session_budget_in_calls_refuses_as_a_session_limit(on: Stage) -> None:
    worker = on.worker("5")
    terms = BudgetTerms(scope="session", unit="calls", window="session", limit=1)
    budgets.create_budget(on.alice.organization, worker.agent, terms, None)
    settled(call(on, worker, x_awx_session_id="s").headers["x-awx-call-id"])
    refused = call(on, worker, x_awx_session_id="s")
    told = refused.json()["error"]["awx"]
    assert (told["reason"], told["name"], told["limit"], told["spent"]) == ("session_limit", "s", "1", "1")
    assert refused.headers["x-should-retry"] == "false"
    assert on.post(worker.key, path="/v1/sessions/s/reset").json()["reset_budgets"] == 1
    until_passes(on, worker, x_awx_session_id="s")
