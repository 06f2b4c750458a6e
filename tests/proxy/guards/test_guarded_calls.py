"""Guards seen from a client's side, on two processes that share one Valkey."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import orjson
import pytest
from django.utils import timezone

from agents import budgets, keys
from agents.models import Agent, Budget, KeyMode
from proxy.providers.fingerprints import fingerprint
from tests.proxy.guards.guarded import (
    LOOSENED_SECONDS,
    PATIENT,
    awx,
    change_guards,
    chat,
    events,
    guarded,
    loosen_guards,
    statuses,
)
from tests.proxy.load import chat_body
from tests.proxy.stage import SETTLED_SECONDS_MAX, Stage, Worker, all_settled, settled, stage
from tests.valkey import PrivateValkey, private_valkey


@pytest.fixture(scope="module")
def own_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateValkey]:
    with private_valkey(tmp_path_factory.mktemp("valkey")) as valkey:
        yield valkey


@pytest.fixture(scope="module")
def two_processes(
    committed_database: str, own_valkey: PrivateValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    environment = {**PATIENT, "REDIS_URL": own_valkey.url}
    with stage(tmp_path_factory.mktemp("stage"), workers=2, environment=environment) as ready:
        yield ready


@pytest.fixture
def on(two_processes: Stage) -> Stage:
    two_processes.fake.reset()
    return two_processes


def at_once(on: Stage, worker: Worker, bodies: list[bytes]) -> Counter[int]:
    headers = {"content-type": "application/json"}
    with ThreadPoolExecutor(len(bodies)) as threads:
        answers = threads.map(lambda body: on.post(worker.key, content=body, headers=headers), bodies)
        return Counter(answer.status_code for answer in answers)


def until_written(worker: Worker, count: int = 1) -> None:
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while len(events(worker)) < count:
        assert time.monotonic() < deadline, "the event was never written"
        time.sleep(0.02)


def until_known(valkey: PrivateValkey, worker: Worker, question: str, of: str) -> None:
    """Wait until Valkey has what both processes go by: it is told of a call's end when its client has the answer."""
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while b":1\r\n" not in valkey.ask(question, f"guards:{{{worker.agent.id}:live}}{of}"):
        assert time.monotonic() < deadline, "the end was never counted"


def failed(on: Stage, valkey: PrivateValkey, worker: Worker, session: str = "") -> None:
    """A call that fails, known to both processes."""
    assert chat(on, worker, "status=500", session=session).status_code == 500
    until_known(valkey, worker, "EXISTS", f":failures:{fingerprint(session.encode())}")


# Rates


def test_the_last_call_of_a_minutes_limit_passes_and_the_next_is_refused(on: Stage) -> None:
    worker = guarded(on, calls_per_minute=3)
    assert statuses(on, worker, 3) == [200] * 3
    refused = chat(on, worker)
    assert refused.status_code == 429
    assert refused.headers["x-should-retry"] == "true"
    assert 55 <= int(refused.headers["retry-after"]) <= 61
    assert refused.json()["error"]["code"] == "rate_limited"
    assert "has reached its limit of 3 calls a minute" in refused.json()["error"]["message"]
    assert {name: awx(refused)[name] for name in ("unit", "window", "limit")} == {
        "unit": "calls", "window": "minute", "limit": "3",
    }  # fmt: skip
    assert on.fake.stats()["requests"] == 3
    row = settled(refused.headers["x-awx-call-id"])
    assert (row.status, row.reason, row.http_status, row.cost_pico) == ("refused", "rate_limited", 429, 0)
    assert events(worker) == [], "a rate is no loop"


def test_two_processes_share_one_limit(on: Stage) -> None:
    worker = guarded(on, calls_per_minute=10)
    bodies = [chat_body(f"text=w{number}") for number in range(40)]
    assert at_once(on, worker, bodies) == {200: 10, 429: 30}
    assert on.fake.stats()["billed"] == 10


def test_racing_calls_never_reserve_more_tokens_than_the_minute_has(on: Stage) -> None:
    """A9."""
    worker = guarded(on, tokens_per_minute=1)
    worst = int(awx(chat(on, worker, "delay_ms=300 text=a"))["asked"])
    loosen_guards(worker, tokens_per_minute=3 * worst)
    bodies = [chat_body(f"delay_ms=300 text={letter}") for letter in "abcde"]
    assert at_once(on, worker, bodies) == {200: 3, 429: 2}


def until_passes(on: Stage, worker: Worker, words: str) -> None:
    """The first call that is not refused: what the one before did not use comes back when its client has its answer."""
    deadline = time.monotonic() + SETTLED_SECONDS_MAX
    while (answer := chat(on, worker, words)).status_code == 429:
        assert time.monotonic() < deadline, "nothing came back"
    assert answer.status_code == 200


def test_tokens_that_a_call_did_not_use_are_free_again(on: Stage) -> None:
    """A20, the other way round: what a call used stays counted."""
    worker = guarded(on, tokens_per_minute=1)
    worst = int(awx(chat(on, worker, "tokens_in=9 tokens_out=1"))["asked"])
    loosen_guards(worker, tokens_per_minute=worst + 25)
    for _ in range(3):
        until_passes(on, worker, "tokens_in=9 tokens_out=1")
    assert chat(on, worker, "tokens_in=9 tokens_out=1").status_code == 429


def test_a_call_that_no_minute_can_hold_is_told_what_to_do(on: Stage) -> None:
    refused = chat(on, guarded(on, tokens_per_minute=20))
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    assert "lower its output bound or shorten its input" in refused.json()["error"]["message"]


def test_a_long_text_that_fits_by_its_tokens_is_not_refused_by_its_bytes(on: Stage) -> None:
    worker, words = guarded(on, tokens_per_minute=4_000), "[[tokens_in=1500]] " + "word " * 1_500
    body = orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": words}], "max_tokens": 16})
    headers = {"content-type": "application/json"}
    assert [on.post(worker.key, content=body, headers=headers).status_code for _ in range(3)] == [200, 200, 429]


def test_an_output_bound_of_ours_is_lowered_to_what_a_minute_holds(on: Stage) -> None:
    worker = guarded(on, tokens_per_minute=2_000)
    body = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}'
    answer = on.post(worker.key, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert 1_500 < int(answer.headers["x-awx-max-output-tokens"]) < 2_000


def test_a_call_that_the_budget_refuses_leaves_the_minute_as_it_was(on: Stage) -> None:
    """A18."""
    worker = guarded(on, "0", calls_per_minute=2, repeat_mode="block", repeat_count=2)
    for _ in range(6):
        assert awx(chat(on, worker))["reason"] in {"budget_exceeded", "call_too_expensive"}
    budgets.set_limit(Budget.objects.get(agent=worker.agent), 10**12, by=None)
    time.sleep(LOOSENED_SECONDS)
    assert [chat(on, worker).status_code for _ in range(3)] == [200, 200, 429]


def test_a_call_that_a_guard_refuses_leaves_the_ledger_as_it_was(on: Stage) -> None:
    """A18."""
    worker = guarded(on, calls_per_minute=1)
    assert statuses(on, worker, 4) == [200, 429, 429, 429]
    all_settled()
    assert worker.spent_pico == on.fake.billed_pico()
    assert worker.held_pico == 0


def test_charlies_and_other_agents_are_not_affected(on: Stage) -> None:
    assert statuses(on, guarded(on, calls_per_minute=1), 2) == [200, 429]
    assert statuses(on, guarded(on, calls_per_minute=1), 1) == [200]
    stranger = Worker(on.charlie.agent, on.charlie.test_key)
    assert statuses(on, stranger, 3) == [200] * 3


def test_test_calls_are_counted_apart_from_live_ones(on: Stage) -> None:
    worker = guarded(on, calls_per_minute=2)
    practice = Worker(worker.agent, keys.issue(worker.agent, KeyMode.TEST, by=None)[1])
    assert statuses(on, practice, 3) == [200, 200, 429]
    assert statuses(on, worker, 3) == [200, 200, 429]


def test_a_changed_limit_holds_for_the_next_call_on_every_process(on: Stage) -> None:
    worker = guarded(on, calls_per_minute=1)
    assert statuses(on, worker, 6) == [200] + [429] * 5
    loosen_guards(worker, calls_per_minute=5)
    assert statuses(on, worker, 6) == [200] * 4 + [429] * 2
    change_guards(worker, calls_per_minute=4)
    assert statuses(on, worker, 2) == [429] * 2


def test_anthropics_clients_are_told_in_their_own_dialect(on: Stage) -> None:
    worker = guarded(on, calls_per_minute=1)
    chat(on, worker)
    body = b'{"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}'
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"}
    refused = on.post(worker.key, "/v1/messages", content=body, headers=headers)
    assert refused.status_code == 429
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert refused.json()["awx"]["reason"] == "rate_limited"


def test_an_agent_without_guards_costs_valkey_nothing(on: Stage, own_valkey: PrivateValkey) -> None:
    plain, warned = on.worker(), guarded(on, repeat_mode="warn", busy_mode="warn", retry_mode="off")
    before = own_valkey.scripts_run()
    assert statuses(on, plain, 5) + statuses(on, warned, 5) == [200] * 10
    assert own_valkey.scripts_run() == before
    assert statuses(on, guarded(on, calls_per_minute=9), 5) == [200] * 5
    assert own_valkey.scripts_run() == before + 5, "one round trip a call"


# Loops


def test_the_same_message_again_and_again_blocks_the_agent_until_it_is_resumed(on: Stage) -> None:
    worker = guarded(on, repeat_mode="block", repeat_count=4, repeat_minutes=5, cool_down_minutes=20)
    assert [chat(on, worker, "text=same").status_code for _ in range(4)] == [200] * 4
    refused = chat(on, worker, "text=same")
    assert refused.status_code == 429
    assert refused.headers["x-should-retry"] == "false"
    assert awx(refused)["reason"] == "loop_detected"
    assert awx(refused)["rule"] == "loop_repeat"
    assert "the same message more than 4 times in 5 minutes" in refused.json()["error"]["message"]
    assert {chat(on, worker, f"text=other{number}").status_code for number in range(6)} == {429}, "on every process"
    assert on.fake.stats()["requests"] == 4

    until_written(worker)
    (event,) = events(worker)
    assert (event.rule, event.mode, event.facts["count"]) == ("loop_repeat", "block", 4)
    assert event.until_at is not None
    assert abs((event.until_at - timezone.now()) - timedelta(minutes=20)) < timedelta(minutes=1)

    budgets.touch_agent(worker.agent.id)
    time.sleep(LOOSENED_SECONDS)
    assert statuses(on, worker, 6) == [200] * 6


def test_different_messages_are_no_loop(on: Stage) -> None:
    worker = guarded(on, repeat_mode="block", repeat_count=2)
    assert statuses(on, worker, 8) == [200] * 8


def test_a_rule_on_warn_stops_nothing(on: Stage) -> None:
    worker = guarded(on, repeat_mode="warn", repeat_count=2, calls_per_minute=100)
    assert [chat(on, worker, "text=same").status_code for _ in range(8)] == [200] * 8


def test_an_agent_that_its_history_has_blocked_is_refused_until_then(on: Stage) -> None:
    worker = on.worker()
    until = timezone.now() + timedelta(hours=1)
    Agent.objects.filter(id=worker.agent.id).update(blocked_until=until, blocked_rule="loop_windows")
    refused = chat(on, worker)
    assert awx(refused)["reason"] == "loop_detected"
    assert "its budget was used up in three windows running" in refused.json()["error"]["message"]
    Agent.objects.filter(id=worker.agent.id).update(blocked_until=timezone.now(), blocked_rule="loop_windows")
    budgets.touch_agent(worker.agent.id)
    time.sleep(LOOSENED_SECONDS)
    assert chat(on, worker).status_code == 200


# Retries


def test_a_retry_is_held_back_whatever_its_body_and_its_session_alone(on: Stage, own_valkey: PrivateValkey) -> None:
    worker = guarded(on, retry_mode="block")
    failed(on, own_valkey, worker, "run-1")
    held = chat(on, worker, "text=another", session="run-1")
    assert held.status_code == 429
    assert (awx(held)["reason"], awx(held)["rule"]) == ("rate_limited", "retry_storm")
    assert held.headers["retry-after"] == "1"
    assert "is held back, because its last call failed" in held.json()["error"]["message"]
    assert chat(on, worker, session="run-2").status_code == 200
    until_written(worker)
    assert [(event.rule, event.session) for event in events(worker)] == [("retry_storm", "run-1")]


def test_a_client_that_waits_as_told_passes(on: Stage, own_valkey: PrivateValkey) -> None:
    worker = guarded(on, retry_mode="block")
    failed(on, own_valkey, worker)
    held = chat(on, worker)
    time.sleep(int(held.headers["retry-after"]))
    assert chat(on, worker).status_code == 200


def test_pacing_makes_a_retry_wait_instead_of_being_refused(on: Stage, own_valkey: PrivateValkey) -> None:
    worker = guarded(on, retry_mode="block", pacing_seconds=5)
    failed(on, own_valkey, worker)
    began = time.monotonic()
    assert chat(on, worker).status_code == 200
    assert 0.7 < time.monotonic() - began < 5


def test_a_provider_that_asks_to_wait_is_left_alone_by_every_process(on: Stage, own_valkey: PrivateValkey) -> None:
    worker = guarded(on, calls_per_minute=100)
    told = chat(on, worker, "status=429 retry_after=30")
    until_known(own_valkey, worker, "HEXISTS", " hold:openai")
    assert told.status_code == 429
    assert "awx" not in told.json()["error"], "the provider's own words"
    for number in range(8):
        held = chat(on, worker, f"text=word{number}")
        assert (awx(held)["reason"], awx(held)["rule"]) == ("rate_limited", "held_back")
        assert 25 <= int(held.headers["retry-after"]) <= 30
    assert "openai asked it to wait" in held.json()["error"]["message"]
    assert on.fake.stats()["requests"] == 1
    assert statuses(on, guarded(on, calls_per_minute=100), 2) == [200] * 2, "another agent may call"
    until_written(worker)
    assert {event.rule for event in events(worker)} == {"held_back"}
