"""What an estimate says is what the very next call meets, to the pico-dollar; and asking leaves nothing behind."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from agents import budgets
from agents.budget_terms import BudgetTerms
from agents.models import Agent, Balance, Budget, Call, KeyMode, Mode, Reservation, Scope, Unit, Window
from agents.money import PICO_PER_USD, parse_usd, usd_exact
from tests.proxy.stage import Stage, Worker, settled
from tests.proxy.test_narrowing import CAP, RATES, body_of, ceiling_pico, counted, worker_with

MODEL = "gpt-4o"
MESSAGE = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4_000}
RICH = 5 * PICO_PER_USD


@dataclass(frozen=True)
class Told:
    """An estimate, and the call that followed."""

    estimate: dict[str, Any]
    call: httpx.Response

    @property
    def passed(self) -> bool:
        return self.call.status_code == 200

    @property
    def ceiling_pico(self) -> int:
        return parse_usd(self.estimate["ceiling"])


def kept(worker: Worker) -> list[object]:
    """All that a call of the agent leaves behind; rows of refusals come a second later."""
    agent = worker.agent.pk
    return [
        Call.objects.filter(agent_id=agent).exclude(status="refused").count(),
        Reservation.objects.filter(agent_id=agent).count(),
        list(Balance.objects.filter(budget__agent=agent).order_by("id").values_list("id", "spent", "held")),
        Agent.objects.get(pk=agent).policy_version,
    ]  # fmt: skip


def ask_then_call(
    on: Stage, worker: Worker, body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str
) -> Told:
    """Ask, then call; both say the same of admission, of what is held or of why it is refused."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    before, sent = kept(worker), on.fake.stats()["requests"]
    answers = [on.post(worker.key, f"/v1/estimate?path={path}", json=body, headers=named) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    assert answers[0].json() == answers[1].json()
    assert (kept(worker), on.fake.stats()["requests"]) == (before, sent), "asking left something behind"
    told = Told(answers[0].json(), on.post(worker.key, path, json=body, headers=named))
    assert told.estimate["admitted"] == told.passed, told.call.text
    if told.passed:
        row = settled(told.call.headers["x-awx-call-id"])
        assert (told.estimate["refusal"], told.ceiling_pico) == (None, row.held_pico)
        lowered = told.call.headers.get("x-awx-max-output-tokens")
        assert lowered is None or int(lowered) == told.estimate["output_tokens_max"]
    else:
        said, refused = told.estimate["refusal"], told.call.json()["error"]
        assert (said.pop("message"), said) == (refused["message"], {name: refused["awx"][name] for name in said})
        assert {"reason", "scope", "name", "limit", "spent", "held", "asked", "bound"} <= set(said)
    return told


def with_limit(on: Stage, worker: Worker, **terms: Any) -> None:
    budgets.create_budget(on.alice.organization, worker.agent, BudgetTerms(scope=Scope.AGENT, **terms), by=None)


def without_bound(words: str = "count=1", **fields: Any) -> dict[str, Any]:
    """A body to which an output bound of ours is added, which may shrink."""
    body = body_of(words, **fields)
    del body["max_completion_tokens"]
    return body


def test_a_call_that_fits_by_its_bytes_to_the_pico_is_not_counted_and_one_pico_less_counts_it(on: Stage) -> None:
    by_bytes = ask_then_call(on, on.worker(limit_pico=RICH), body_of()).ceiling_pico
    assert by_bytes > ceiling_pico(MODEL, counted(body_of()))
    assert ask_then_call(on, on.worker(limit_pico=by_bytes), body_of()).ceiling_pico == by_bytes
    less = ask_then_call(on, on.worker(limit_pico=by_bytes - 1), body_of())
    assert less.passed
    assert less.ceiling_pico == ceiling_pico(MODEL, counted(body_of()))
    assert less.estimate["input_tokens_max"] == counted(body_of())


@pytest.mark.parametrize(("less", "passes"), [(0, True), (1, False)])
def test_a_call_that_fits_by_the_models_tokenizer_alone_is_said_to_pass_to_the_pico(
    on: Stage, less: int, passes: bool
) -> None:
    told = ask_then_call(on, on.worker(limit_pico=ceiling_pico(MODEL, counted(body_of())) - less), body_of())
    assert told.passed == passes
    assert passes or told.call.json()["error"]["awx"]["bound"] == "tokenizer"
    assert told.ceiling_pico == ceiling_pico(MODEL, counted(body_of())), "what was asked for at last"


@pytest.mark.parametrize(("less", "passes"), [(0, True), (1, False)])
def test_an_output_bound_of_ours_shrinks_as_far_as_it_would_for_the_call(on: Stage, less: int, passes: bool) -> None:
    body = without_bound("tokens_in=20", model="gpt-6.1-sol")
    poor = ask_then_call(on, on.worker(limit_pico=1), body)
    least_pico = parse_usd(poor.call.json()["error"]["awx"]["asked"])
    told = ask_then_call(on, on.worker(limit_pico=least_pico - less), body)
    assert told.passed == passes
    assert not passes or told.ceiling_pico == least_pico
    roomy = ask_then_call(on, on.worker(limit_pico=2 * least_pico), body)
    assert least_pico < roomy.ceiling_pico <= 2 * least_pico


def test_a_bound_of_ours_shrinks_under_the_count_too(on: Stage) -> None:
    body = without_bound()
    into, out = RATES[MODEL]
    told = ask_then_call(on, on.worker(limit_pico=(counted(body) + 30) * into + 1_000 * out), body)
    assert told.passed
    assert told.estimate["output_tokens_max"] >= 1_000


def test_a_bound_of_ours_shrinks_first_for_one_budget_and_then_for_another(on: Stage) -> None:
    into, out = RATES[MODEL]
    tokens = counted(without_bound())
    worker = on.worker(limit_pico=(tokens + 30) * into + 1_000 * out)
    with_limit(on, worker, unit=Unit.TOKENS, limit=tokens + 800)
    told = ask_then_call(on, worker, without_bound())
    assert told.passed
    assert 700 < told.estimate["output_tokens_max"] < 800


@pytest.mark.parametrize("body", [body_of(), body_of(max_completion_tokens=16_000), MESSAGE])
def test_what_does_not_fit_is_refused_in_the_same_words(on: Stage, body: dict[str, Any]) -> None:
    path = "/v1/messages" if body["model"].startswith("claude") else "/v1/chat/completions"
    assert not ask_then_call(on, on.worker(limit_pico=ceiling_pico(MODEL, 0) - 1), body, path).passed


@pytest.mark.parametrize(("less", "passes"), [(0, True), (1, False)])
@pytest.mark.parametrize(
    "brought",
    [
        {"x_awx_session_id": "run-1", "x_awx_session_budget": ""},
        {"x_awx_daily_budget": ""},
        {"x_awx_agent_id": "helper", "x_awx_daily_budget": ""},
    ],
    ids=["session", "day", "sub-agent"],
)
def test_limits_that_a_call_brings_hold_its_estimate_to_the_pico(
    on: Stage, brought: dict[str, str], less: int, passes: bool
) -> None:
    limit = usd_exact(ceiling_pico(MODEL, counted(body_of())) - less)
    headers = {name: value or limit for name, value in brought.items()}
    worker = on.worker(limit_pico=RICH)
    # The first of an agent's calls that brings such a limit makes the meter for it; so does asking.
    on.post(worker.key, "/v1/estimate", json=body_of(), headers={n.replace("_", "-"): v for n, v in headers.items()})
    assert ask_then_call(on, worker, body_of(), **headers).passed == passes


@pytest.mark.parametrize(("less", "passes"), [(0, True), (1, False)])
def test_a_budget_of_tokens_is_held_to_the_count(on: Stage, less: int, passes: bool) -> None:
    worker = on.worker(limit_pico=RICH)
    with_limit(on, worker, unit=Unit.TOKENS, limit=counted(body_of()) + CAP - less)
    assert ask_then_call(on, worker, body_of()).passed == passes


MONTH = {"window": Window.MONTH, "limit": parse_usd("4.999992")}
WEEK_OF_TOKENS = {"unit": Unit.TOKENS, "window": Window.WEEK, "limit": CAP}


@pytest.mark.parametrize(
    ("terms", "named"),
    [
        ([], ("budget_exceeded", "usd", "day")),
        ([MONTH], ("budget_exceeded", "usd", "month")),
        ([WEEK_OF_TOKENS, MONTH], ("call_too_expensive", "tokens", "week")),
    ],
)
def test_of_several_budgets_without_room_the_same_one_is_named(
    on: Stage, terms: list[dict[str, Any]], named: tuple[str, str, str]
) -> None:
    """The one that leaves least hope: what no window can hold, then that with the smallest share of it left."""
    worker = on.worker(limit_pico=RICH)
    for more in terms:
        with_limit(on, worker, **more)
    on.post(worker.key, "/v1/usage", json={"model": "own", "provider": "own", "cost_usd": "4.99999"})
    refused = ask_then_call(on, worker, body_of()).call.json()["error"]["awx"]
    assert (refused["reason"], refused["unit"], refused["window"]) == named


def test_an_estimate_that_says_no_is_no_refusal_in_the_book(on: Stage) -> None:
    worker = on.worker(limit_pico=1)
    refused = ask_then_call(on, worker, body_of()).call
    settled(refused.headers["x-awx-call-id"])
    assert [(row.status, str(row.call_id)) for row in worker.calls()] == [("refused", refused.headers["x-awx-call-id"])]


def test_budgets_that_only_alert_refuse_neither(on: Stage) -> None:
    worker = on.worker(limit_pico=1)
    budget = Budget.objects.get(agent=worker.agent)
    budgets.change_terms(budget, mode=Mode.SOFT, thresholds=(50,), by=on.alice.user)
    assert ask_then_call(on, worker, body_of()).passed


def test_a_test_key_is_told_what_its_practice_call_meets(on: Stage) -> None:
    """The sandbox has a tokenizer of its own, so nothing is counted for it."""
    worker = worker_with(on, ceiling_pico(MODEL, counted(body_of())), KeyMode.TEST)
    assert not ask_then_call(on, worker, body_of()).passed


def test_what_was_changed_a_moment_ago_counts_already(on: Stage) -> None:
    """A snapshot of who asks may be a second old; the ledger is asked whether it still stands."""
    worker = on.worker(limit_pico=RICH)
    assert ask_then_call(on, worker, body_of()).passed
    with_limit(on, worker, window=Window.MONTH, limit=1)
    assert not ask_then_call(on, worker, body_of()).passed
    budgets.pause(worker.agent, on.alice.user)
    told = on.post(worker.key, "/v1/estimate", json=body_of()).json()
    assert (told["admitted"], told["refusal"]["reason"]) == (False, "agent_paused")


def test_asking_takes_nothing_of_what_a_minute_allows(on: Stage) -> None:
    worker = on.worker(limit_pico=RICH)
    worker.guard(calls_per_minute=1, tokens_per_minute=1_000_000)
    assert ask_then_call(on, worker, body_of()).passed
    told = on.post(worker.key, "/v1/estimate", json=body_of()).json()
    refused = on.post(worker.key, json=body_of())
    assert (told["admitted"], refused.status_code) == (True, 429), "an estimate does not speak of rates"
    assert refused.json()["error"]["awx"]["reason"] == "rate_limited"
