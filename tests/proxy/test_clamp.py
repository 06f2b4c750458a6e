"""Agents that clamp: a client's output bound that does not fit is lowered, never below what is useful (B3, J9)."""

from typing import Any

import pytest

from agents import budgets
from agents.budget_terms import BudgetTerms
from agents.models import Scope, Unit
from agents.money import parse_usd
from tests.proxy.stage import Stage, Worker, sent_body, settled

HELLO = [{"role": "user", "content": "Hello"}]
ANTHROPIC = {"anthropic-version": "2023-06-01"}
# Haiku's output costs 5,000,000 pico-dollars a token; five cents buy a little less than 10,000 of them.
CLAUDE: dict[str, Any] = {"model": "claude-haiku-4-5", "messages": HELLO, "max_tokens": 32_000}
# No tokenizer is published for it, so its input is bounded by bytes.
OPENAI: dict[str, Any] = {"model": "gpt-6.1-sol", "messages": HELLO}


def clamping(on: Stage, daily_usd: str) -> Worker:
    worker = on.worker(daily_usd)
    worker.guard(clamp_output=True)
    return worker


def test_without_clamp_the_refusal_names_the_affordable_number(on: Stage) -> None:
    """J9: $0.05 left and max_tokens 32k."""
    worker = on.worker("0.05")
    answer = on.post(worker.key, "/v1/messages", json=CLAUDE, headers=ANTHROPIC)
    assert answer.status_code == 429
    assert answer.json()["awx"]["reason"] == "call_too_expensive"
    assert on.fake.stats()["requests"] == 0
    fits = int(answer.json()["error"]["message"].split("An output bound of ")[1].split()[0])
    again = on.post(worker.key, "/v1/messages", json=CLAUDE | {"max_tokens": fits}, headers=ANTHROPIC)
    assert again.status_code == 200


def test_with_clamp_the_bound_is_lowered_and_said(on: Stage) -> None:
    """J9, the agent's choice."""
    worker = clamping(on, "0.05")
    answer = on.post(worker.key, "/v1/messages", json=CLAUDE, headers=ANTHROPIC)
    assert answer.status_code == 200
    lowered = int(answer.headers["x-awx-max-output-tokens"])
    assert sent_body(on)["max_tokens"] == lowered
    row = settled(answer.headers["x-awx-call-id"])
    # All that the budget buys: one token more would not have fitted.
    assert parse_usd("0.05") - 5_000_000 < row.held_pico <= parse_usd("0.05")
    assert 9_000 < lowered < 10_000


@pytest.mark.parametrize(
    "names",
    [("max_tokens",), ("max_completion_tokens",), ("max_tokens", "max_completion_tokens")],
    ids="+".join,
)
def test_every_name_of_the_bound_is_lowered(on: Stage, names: tuple[str, ...]) -> None:
    bounds = dict.fromkeys(names, 32_000)
    worker = clamping(on, "0.05")
    answer = on.post(worker.key, json=OPENAI | bounds)
    lowered = int(answer.headers["x-awx-max-output-tokens"])
    body = sent_body(on)
    assert {name: body[name] for name in bounds} == dict.fromkeys(bounds, lowered)
    assert body.keys() & {"max_tokens", "max_completion_tokens"} == bounds.keys()
    assert 256 <= lowered < 5_000


def test_a_bound_that_fits_is_left_as_it_is(on: Stage) -> None:
    worker = clamping(on, "5")
    answer = on.post(worker.key, json=OPENAI | {"max_tokens": 400})
    assert answer.status_code == 200
    assert "x-awx-max-output-tokens" not in answer.headers
    assert sent_body(on)["max_tokens"] == 400


def test_no_bound_is_lowered_below_what_is_useful(on: Stage) -> None:
    """A budget that buys 255 tokens refuses; one that buys 256 lowers."""
    asked = OPENAI | {"max_tokens": 32_000}
    probe = clamping(on, "5")
    held_pico = settled(on.post(probe.key, json=asked | {"max_tokens": 256}).headers["x-awx-call-id"]).held_pico
    # The body is two bytes shorter with three digits than with five, and the bound is taken before.
    enough_pico = held_pico + 2 * 2_500_000
    on.fake.reset()
    poor = clamping(on, f"{(enough_pico - 1) / 10**12:.12f}")
    answer = on.post(poor.key, json=asked)
    assert answer.status_code == 429
    assert on.fake.stats()["requests"] == 0
    rich = clamping(on, f"{enough_pico / 10**12:.12f}")
    assert on.post(rich.key, json=asked).headers["x-awx-max-output-tokens"] == "256"


def test_a_clients_own_small_bound_is_not_lowered_at_all(on: Stage) -> None:
    worker = clamping(on, "0.0001")
    answer = on.post(worker.key, json=OPENAI | {"max_tokens": 200})
    assert answer.status_code == 429
    assert on.fake.stats()["requests"] == 0


def test_a_thinking_budget_stays_below_the_bound_or_the_call_is_refused(on: Stage) -> None:
    thinking = {"type": "enabled", "budget_tokens": 8_000}
    worker = clamping(on, "0.05")
    answer = on.post(worker.key, "/v1/messages", json=CLAUDE | {"thinking": thinking}, headers=ANTHROPIC)
    assert int(answer.headers["x-awx-max-output-tokens"]) > 8_000
    poor = clamping(on, "0.04")
    on.fake.reset()
    answer = on.post(poor.key, "/v1/messages", json=CLAUDE | {"thinking": thinking}, headers=ANTHROPIC)
    assert answer.status_code == 429
    assert on.fake.stats()["requests"] == 0


def test_what_running_calls_hold_lowers_the_bound_too(on: Stage) -> None:
    worker = clamping(on, "0.05")
    first = on.post(worker.key, "/v1/messages", json=CLAUDE | {"max_tokens": 5_000}, headers=ANTHROPIC)
    assert "x-awx-max-output-tokens" not in first.headers
    row = settled(first.headers["x-awx-call-id"])
    second = on.post(worker.key, "/v1/messages", json=CLAUDE, headers=ANTHROPIC)
    left_pico = parse_usd("0.05") - row.cost_pico
    assert left_pico - 5_000_000 < settled(second.headers["x-awx-call-id"]).held_pico <= left_pico


@pytest.mark.parametrize("asked", [{}, {"max_tokens": 32_000}], ids=["added", "clamped"])
def test_a_budget_of_tokens_lowers_the_bound_as_dollars_do(on: Stage, asked: dict[str, int]) -> None:
    worker = clamping(on, "5")
    terms = BudgetTerms(scope=Scope.AGENT, unit=Unit.TOKENS, limit=1_000)
    budgets.create_budget(on.alice.organization, worker.agent, terms, by=on.alice.user)
    estimate = on.post(worker.key, "/v1/estimate", json=OPENAI | asked).json()
    assert (estimate["admitted"], estimate["refusal"]) == (True, None)
    answer = on.post(worker.key, json=OPENAI | asked)
    lowered = int(answer.headers["x-awx-max-output-tokens"])
    input_bound = len(on.fake.log()[-1]["body"]) + 64
    assert lowered + input_bound == pytest.approx(1_000, abs=3)  # the number's own digits
    assert lowered + input_bound <= 1_000


def test_a_limit_for_each_call_lowers_a_clamped_bound(on: Stage) -> None:
    worker = clamping(on, "5")
    worker.guard(max_ceiling_pico=parse_usd("0.01"))
    answer = on.post(worker.key, "/v1/messages", json=CLAUDE, headers=ANTHROPIC)
    assert 256 <= int(answer.headers["x-awx-max-output-tokens"]) < 2_000
    assert settled(answer.headers["x-awx-call-id"]).held_pico <= parse_usd("0.01")
