"""What is billed is what every place shows, and what could be billed unseen is never forwarded (P2, scenarios B)."""

from typing import Any

import httpx
import pytest
from django.db.models import Sum

from agents.days import Period
from agents.models import CallStatus, HourlyUsage, database_now
from agents.money import parse_usd
from agents.reports.spend import book
from agents.rollups import roll_up
from tests.proxy.stage import Stage, Worker, all_settled, settled

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
MODELS = {CHAT: "gpt-4o-mini", MESSAGES: "claude-haiku-4-5"}
HEADERS = {CHAT: {}, MESSAGES: {"anthropic-version": "2023-06-01"}}


def post(
    on: Stage, worker: Worker, path: str, words: str = "tokens_in=40 tokens_out=20", **more: Any
) -> httpx.Response:
    body = {"model": MODELS[path], "max_tokens": 30, "messages": [{"role": "user", "content": f"Hi [[{words}]]"}]}
    return on.post(worker.key, path, json=body | more, headers=HEADERS[path])


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (CHAT, {"service_tier": "ultrafast"}),
        (CHAT, {"web_search_options": {}}),
        (CHAT, {"quality_tomorrow": "best"}),
        (MESSAGES, {"service_tier": "priority"}),
        (MESSAGES, {"speed": "ludicrous"}),
        (MESSAGES, {"container": "container_1"}),
    ],
)
def test_no_field_that_could_move_the_price_lets_a_byte_upstream(on: Stage, path: str, field: dict[str, Any]) -> None:
    """P2: nothing is forwarded, held or counted; test_price_movers.py has every field."""
    worker = on.worker()
    answer = post(on, worker, path, **field)
    assert answer.status_code == 400
    assert "unpriced_feature" in answer.text
    assert on.fake.stats()["requests"] == 0
    assert (worker.spent_pico, worker.held_pico, sum(row.counted for row in worker.calls())) == (0, 0, 0)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("stream", [False, True])
def test_one_call_costs_the_same_wherever_it_is_shown(on: Stage, path: str, stream: bool) -> None:
    """Scenario B4: the provider's bill, the row, the ledger, the sums, the reports and what the agent is told."""
    worker = on.worker()
    began_at = database_now()
    answer = post(on, worker, path, "tokens_in=40 tokens_out=17 cached=30", stream=stream)
    row = settled(answer.headers["x-awx-call-id"])
    all_settled()
    roll_up(database_now())
    bill = on.fake.billed_pico()
    assert bill > 0
    assert row.cost_pico == bill
    assert worker.spent_pico == bill
    sums = HourlyUsage.objects.filter(agent_id=worker.agent.id).aggregate(sum=Sum("cost_pico"))
    assert int(sums["sum"]) == bill
    rows = book(on.alice.organization, Period(began_at, database_now()), worker.agent.id)
    assert int(rows.aggregate(sum=Sum("cost_pico"))["sum"]) == bill
    assert parse_usd(on.get(worker.key, f"/v1/calls/{row.call_id}").json()["cost"]) == bill
    if not stream:
        assert parse_usd(answer.headers["x-awx-call-cost"]) == bill


def test_every_endpoint_moves_the_same_counter(on: Stage) -> None:
    """Scenario B18: chat, messages and responses."""
    worker, spent_pico = on.worker(), 0
    responses = {"model": "gpt-4o-mini", "input": "Hi [[tokens_in=40 tokens_out=20]]", "max_output_tokens": 30}
    for ask in (
        lambda: post(on, worker, CHAT),
        lambda: post(on, worker, MESSAGES),
        lambda: on.post(worker.key, "/v1/responses", json=responses),
    ):
        settled(ask().headers["x-awx-call-id"])
        assert worker.spent_pico > spent_pico
        spent_pico = worker.spent_pico
    assert spent_pico == on.fake.billed_pico()


def test_failed_attempts_are_rows_that_cost_nothing_and_count_as_no_call(on: Stage) -> None:
    """Scenario B19: a client that succeeds at its third attempt made one call that was billed and two that were not."""
    worker = on.worker()
    for words in ("status=500", "status=429", "tokens_in=40 tokens_out=20"):
        settled(post(on, worker, CHAT, words).headers["x-awx-call-id"])
    rows = worker.calls()
    assert [row.status for row in rows] == [CallStatus.VOIDED, CallStatus.VOIDED, CallStatus.SETTLED]
    assert [row.counted for row in rows] == [0, 0, 1]
    assert sum(row.cost_pico for row in rows) == worker.spent_pico == on.fake.billed_pico()
