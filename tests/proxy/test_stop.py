"""Stop now, stop all agents and revoked keys cut running calls within a second, on every process, and nobody else's."""

import time
from collections.abc import Iterator
from concurrent.futures import Future

import httpx
import pytest
from django.db import connection
from django.utils import timezone

from accounts import credentials
from agents import budgets, keys
from agents.audit import audit
from agents.models import Agent, AgentKey, KeyMode, Reservation
from agents.money import parse_usd
from tests.proxy.crowd import Crowd, Ended, crowd, wait_for
from tests.proxy.load import chat_body
from tests.proxy.stage import PROVIDER_KEY, Stage, Worker, all_settled, settled, stage

CUT_SECONDS_MAX = 1.0
LOOSENING_SECONDS_MAX = 0.25  # B5
FOR_EVER = "chunks=1500 chunk_ms=40 tokens_out=40"
A_WHILE = "chunks=60 chunk_ms=50 tokens_out=40"
NO_FIRST_BYTE = "hang=1 tokens_out=40"


@pytest.fixture(scope="module")
def two_processes(committed_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("stage"), workers=2) as ready:
        credentials.connect(ready.charlie.organization, "openai", PROVIDER_KEY, by=ready.charlie.user)
        yield ready


@pytest.fixture
def on(two_processes: Stage) -> Stage:
    two_processes.fake.reset()
    return two_processes


@pytest.fixture
def clients(on: Stage) -> Iterator[Crowd]:
    with crowd(on) as ready:
        yield ready
    budgets.stop_all(on.alice.organization, by=on.alice.user)  # what a failed test left is no other's trouble
    all_settled()


def connected(on: Stage) -> int:
    return int(on.fake.stats()["connected"])


def all_run(on: Stage, clients: Crowd, count: int) -> None:
    """Wait until so many calls run at the provider; none may have ended."""

    def do_run() -> bool:
        assert clients.ended == []
        return connected(on) == count

    wait_for(do_run)


def run_on_both_processes(worker: Worker) -> bool:
    """Which process accepts a connection is the system's choice."""
    return Reservation.objects.filter(agent_id=worker.agent.id).values("owner").distinct().count() == 2


def ended_within_a_second(calls: list[Future[Ended]], stopped_at: float) -> list[Ended]:
    ends = [call.result(timeout=20) for call in calls]
    assert max(end.ended_at for end in ends) - stopped_at <= CUT_SECONDS_MAX
    return ends


def refused(on: Stage, worker: Worker) -> bool:
    """Whether a call that comes now is turned away because its agent is paused."""
    answer = on.post(worker.key, content=chat_body("tokens_out=9"))
    return answer.status_code == 403 and answer.json()["error"]["code"] == "agent_paused"


def check_money(on: Stage, worker: Worker) -> None:
    """Nothing is held, the ledger is not behind the bill, and every invariant holds."""
    wait_for(lambda: worker.held_pico == 0)
    assert worker.spent_pico == sum(row.cost_pico for row in worker.calls())
    report = audit()
    assert report.ok, "\n".join(report.lines())


def test_stop_now_cuts_every_running_call_of_the_agent_and_nobody_elses(on: Stage, clients: Crowd) -> None:
    """Row 15 of docs/reliability.md and S3: each dialect, streams and whole answers, through both processes."""
    worker, colleague = on.worker("50"), on.worker()
    chats = [clients.chat(worker.key, FOR_EVER) for _ in range(24)]
    messages = [clients.messages(worker.key, FOR_EVER) for _ in range(6)]
    whole = [clients.chat(worker.key, NO_FIRST_BYTE, stream=False) for _ in range(6)]
    others = [clients.chat(key, A_WHILE) for key in (colleague.key, on.charlie.live_key)]
    all_run(on, clients, 38)
    while not run_on_both_processes(worker):
        chats.append(clients.chat(worker.key, FOR_EVER))
        all_run(on, clients, len(chats) + 14)
    wait_for(lambda: clients.answering_count == len(chats) + 8)

    budgets.stop_now(worker.agent, by=on.alice.user)
    stopped_at = time.monotonic()
    assert wait_for(lambda: connected(on) == len(others)) - stopped_at <= CUT_SECONDS_MAX
    streams = ended_within_a_second(chats + messages, stopped_at)
    refused = ended_within_a_second(whole, stopped_at)

    assert {(end.status, end.error["awx"]["reason"]) for end in streams} == {(200, "agent_paused")}
    assert all("event: error\n" in end.text for end in streams[len(chats) :])
    for end in refused:
        assert (end.status, end.headers["x-should-retry"]) == (403, "false")
        assert end.error["code"] == "agent_paused"
        assert "may bill" in end.error["message"]
    for end in [*streams[: len(chats)], *refused]:
        row = settled(end.call_id)
        assert (row.status, row.basis, row.reason) == ("settled", "worst_case", "agent_stopped")
        assert row.cost_pico == row.held_pico
    for end in streams[len(chats) :]:
        row = settled(end.call_id)
        assert (row.basis, row.output_tokens, row.reason) == ("estimated", 50, "agent_stopped")
        assert 0 < row.cost_pico < row.held_pico
    assert worker.spent_pico >= on.fake.billed_pico() - colleague.held_pico > 0
    assert [call.result(timeout=30).text.endswith("data: [DONE]\n\n") for call in others] == [True, True]
    assert settled(others[0].result().call_id).basis == "usage"
    check_money(on, worker)


def test_a_pause_lets_running_calls_finish(on: Stage, clients: Crowd) -> None:
    worker = on.worker()
    calls = [clients.chat(worker.key, "chunks=40 chunk_ms=50 tokens_out=9") for _ in range(4)]
    all_run(on, clients, 4)
    budgets.pause(worker.agent, by=on.alice.user)
    assert refused(on, worker)
    for call in calls:
        end = call.result(timeout=30)
        assert end.text.endswith("data: [DONE]\n\n")
        assert settled(end.call_id).basis == "usage"
    check_money(on, worker)


def test_a_stop_cuts_what_a_pause_had_let_run(on: Stage, clients: Crowd) -> None:
    worker = on.worker()
    call = clients.chat(worker.key, FOR_EVER)
    all_run(on, clients, 1)
    budgets.pause(worker.agent, by=on.alice.user)
    assert not call.done()
    budgets.stop_now(worker.agent, by=on.alice.user)
    ended_within_a_second([call], time.monotonic())


def test_a_resumed_agent_calls_again(on: Stage, clients: Crowd) -> None:
    worker = on.worker()
    budgets.stop_now(worker.agent, by=on.alice.user)
    assert refused(on, worker)
    budgets.resume(worker.agent, by=on.alice.user)
    resumed_at = time.monotonic()
    wait_for(lambda: time.monotonic() - resumed_at > LOOSENING_SECONDS_MAX)
    end = clients.chat(worker.key, "tokens_out=9").result(timeout=30)
    assert (end.status, settled(end.call_id).basis) == (200, "usage")


def test_a_revoked_key_cuts_its_own_calls_and_not_those_of_the_other_key(on: Stage, clients: Crowd) -> None:
    worker = on.worker()
    key, second = keys.issue(worker.agent, KeyMode.LIVE, by=on.alice.user)
    mine = [clients.chat(second, FOR_EVER) for _ in range(6)]
    whole = clients.messages(second, NO_FIRST_BYTE, stream=False)
    other = clients.chat(worker.key, A_WHILE)
    all_run(on, clients, 8)
    wait_for(lambda: clients.answering_count == 7)
    keys.revoke(key, by=on.alice.user)
    stopped_at = time.monotonic()
    streams, refused = ended_within_a_second(mine, stopped_at), ended_within_a_second([whole], stopped_at)[0]
    assert {end.error["awx"]["reason"] for end in streams} == {"key_revoked"}
    assert (refused.status, refused.headers["x-should-retry"]) == (401, "false")
    assert str(key) in refused.error["message"]
    assert {settled(end.call_id).reason for end in [*streams, refused]} == {"key_revoked"}
    assert other.result(timeout=30).text.endswith("data: [DONE]\n\n")
    check_money(on, worker)


def test_stopping_all_agents_cuts_the_organisation_and_leaves_the_neighbour(on: Stage, clients: Crowd) -> None:
    workers = [on.worker() for _ in range(4)]
    calls = [clients.chat(worker.key, FOR_EVER) for worker in workers for _ in range(3)]
    foreign = clients.chat(on.charlie.live_key, A_WHILE)
    all_run(on, clients, 13)
    assert budgets.stop_all(on.alice.organization, by=on.alice.user) >= 4
    for end in ended_within_a_second(calls, time.monotonic()):
        assert end.error["awx"]["reason"] == "agent_paused"
    assert all(refused(on, worker) for worker in workers)
    assert foreign.result(timeout=30).text.endswith("data: [DONE]\n\n")
    for worker in workers:
        check_money(on, worker)


def test_a_call_that_is_read_on_for_a_client_that_left_is_cut_too(on: Stage) -> None:
    worker = on.worker()
    with crowd(on) as clients:
        call = clients.chat(worker.key, FOR_EVER)
        all_run(on, clients, 1)
    assert call.done()
    assert connected(on) == 1, "it is drained for the bill"
    budgets.stop_now(worker.agent, by=on.alice.user)
    stopped_at = time.monotonic()
    assert wait_for(lambda: connected(on) == 0) - stopped_at <= CUT_SECONDS_MAX
    wait_for(lambda: [row.reason for row in worker.calls()] == ["agent_stopped"])
    assert worker.spent_pico >= on.fake.billed_pico() > 0


def test_a_stream_that_has_told_everything_is_charged_as_whole(on: Stage) -> None:
    worker = on.worker()
    url = f"{on.server.openai_base_url}/chat/completions"
    headers = {"authorization": f"Bearer {worker.key}"}
    body = chat_body("linger_ms=20000 tokens_out=9", stream=True)
    text = ""
    with httpx.stream("POST", url, content=body, headers=headers, timeout=30) as answer:
        for piece in answer.iter_text():
            text += piece
            if text.endswith("data: [DONE]\n\n"):
                budgets.stop_now(worker.agent, by=on.alice.user)
    assert "agent_paused" not in text
    row = settled(answer.headers["x-awx-call-id"])
    assert (row.basis, row.reason, row.failed) == ("usage", "", False)
    assert worker.spent_pico == on.fake.billed_pico() > 0


def test_practice_calls_are_not_disturbed_by_the_live_keys_end(on: Stage, clients: Crowd) -> None:
    worker = on.worker()
    practice = keys.issue(worker.agent, KeyMode.TEST, by=on.alice.user)[1]
    call = clients.chat(worker.key, FOR_EVER)
    all_run(on, clients, 1)
    live = AgentKey.objects.get(agent=worker.agent, mode=KeyMode.LIVE)
    keys.revoke(live, by=on.alice.user)
    ended_within_a_second([call], time.monotonic())
    assert clients.chat(practice, "").result(timeout=30).status == 200


LISTENERS = (
    "FROM pg_stat_activity WHERE application_name = 'shredder ledger stops' AND datname = current_database()"
    " AND state = 'idle'"
)


def cut_off_the_listeners() -> None:
    """End the connections on which the processes hear of stops."""
    wait_for(lambda: _asked(f"SELECT count(*) {LISTENERS}") == 2)
    assert _asked(f"SELECT count(pg_terminate_backend(pid)) {LISTENERS}") == 2


def _asked(query: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def test_a_stop_right_after_the_listener_was_cut_off_is_heard(on: Stage, clients: Crowd) -> None:
    worker = on.worker()
    calls = [clients.chat(worker.key, FOR_EVER) for _ in range(6)]
    all_run(on, clients, 6)
    cut_off_the_listeners()
    budgets.stop_now(worker.agent, by=on.alice.user)
    ended_within_a_second(calls, time.monotonic())


def test_a_stop_whose_notification_was_lost_is_made_up_when_the_listener_is_back(on: Stage, clients: Crowd) -> None:
    lost, going, worker = on.worker(), on.worker(), on.worker()
    key, second = keys.issue(worker.agent, KeyMode.LIVE, by=on.alice.user)
    stopped = [clients.chat(lost.key, FOR_EVER) for _ in range(4)]
    revoked = clients.chat(second, FOR_EVER)
    others = [clients.chat(one.key, A_WHILE) for one in (going, worker)]
    all_run(on, clients, 7)
    Agent.objects.filter(id=lost.agent.id).update(paused_at=timezone.now(), stopped_at=timezone.now())
    AgentKey.objects.filter(id=key.id).update(revoked_at=timezone.now())
    cut_off_the_listeners()
    lost_at = time.monotonic()
    ended_within_a_second(stopped, lost_at)
    assert str(key) in ended_within_a_second([revoked], lost_at)[0].error["message"]
    assert [call.result(timeout=30).text.endswith("data: [DONE]\n\n") for call in others] == [True, True]


def test_a_stop_that_is_pressed_again_cuts_again_and_is_written_once(on: Stage, clients: Crowd) -> None:
    worker = on.worker()
    call = clients.chat(worker.key, FOR_EVER)
    all_run(on, clients, 1)
    Agent.objects.filter(id=worker.agent.id).update(paused_at=timezone.now(), stopped_at=timezone.now())
    budgets.stop_now(worker.agent, by=on.alice.user)
    ended_within_a_second([call], time.monotonic())
    assert not on.alice.organization.audit_entries.filter(action="agent.stopped", target=worker.agent.name).exists()


def test_what_a_stop_charges_was_held_before_and_passes_no_limit(on: Stage, clients: Crowd) -> None:
    worker = on.worker("0.01")
    calls = [clients.chat(worker.key, FOR_EVER, cap=2000) for _ in range(12)]
    wait_for(lambda: sum(call.done() for call in calls) + connected(on) == 12)
    budgets.stop_now(worker.agent, by=on.alice.user)
    ended_within_a_second(calls, time.monotonic())
    check_money(on, worker)
    assert on.fake.billed_pico() <= worker.spent_pico <= parse_usd("0.01")
