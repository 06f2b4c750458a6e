"""The Claude Code command line, headless and without a login: two variables lead it through Shredder.

J4, J8: it shows our message and stops.
"""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.clients.callers import SPENT_LIMIT_USD, counted, spent_worker, variables
from tests.clients.environments import claude_code, run
from tests.proxy.stage import Stage, Worker, all_settled

MODEL = "claude-haiku-4-5"
ANSWER = "word word word word word"
ASK, ASK_TOOL = "Say hello [[tokens_out=20]]", "List the files [[tool_calls=1]]"
SECONDS_MAX = 60.0
ALONE = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
}


def ask(on: Stage, worker: Worker, home: Path, *arguments: str, model: str = MODEL) -> CompletedProcess[str]:
    environment = {**variables(on.server, worker.key), **ALONE}
    command = [str(claude_code()), "--model", model, "-p", *arguments]
    return run(*command, home=home, environment=environment, seconds_max=SECONDS_MAX)


def told(ended: CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_a_prompt_is_answered_and_paid(on: Stage, tmp_path: Path) -> None:
    worker = on.worker()
    ended = ask(on, worker, tmp_path, ASK, "--output-format", "json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    answer = told(ended)
    assert (answer["result"], answer["is_error"], answer["num_turns"]) == (ANSWER, False, 1)
    all_settled()
    assert counted(on, worker) == 0  # no beta of its own is turned away
    (row,) = [row for row in worker.calls() if row.status == "settled"]
    assert (row.endpoint, row.streamed, row.basis, row.output_tokens) == ("messages", True, "usage", 20)
    assert worker.spent_pico == on.fake.billed_pico() == round(answer["total_cost_usd"] * 10**12)


def test_a_newer_model_brings_more_betas_and_none_is_turned_away(on: Stage, tmp_path: Path) -> None:
    worker = on.worker()
    ended = ask(on, worker, tmp_path, ASK, "--output-format", "json", model="claude-opus-5-5")
    assert (ended.returncode, told(ended)["result"]) == (0, ANSWER), ended.stdout + ended.stderr
    all_settled()
    assert counted(on, worker) == 0
    assert worker.spent_pico == on.fake.billed_pico() > 0


def test_a_stream_comes_in_pieces(on: Stage, tmp_path: Path) -> None:
    options = ("--output-format", "stream-json", "--verbose", "--include-partial-messages")
    ended = ask(on, on.worker(), tmp_path, ASK, *options)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    deltas = [line["event"].get("delta", {}) for line in lines if line["type"] == "stream_event"]
    assert [delta["text"] for delta in deltas if delta.get("type") == "text_delta"] == ["word", *[" word"] * 4]


def test_a_tools_result_goes_back_to_the_model(on: Stage, tmp_path: Path) -> None:
    worker = on.worker()
    answer = told(ask(on, worker, tmp_path, ASK_TOOL, "--output-format", "json"))
    assert (answer["result"], answer["num_turns"]) == (ANSWER, 2)
    all_settled()
    assert [row.tool_call_count for row in worker.calls()] == [1, 0]
    assert counted(on, worker) == 0


def test_a_refusal_is_one_request_and_its_message_is_shown(on: Stage, tmp_path: Path) -> None:
    worker = spent_worker(on)
    ended = ask(on, worker, tmp_path, ASK)
    assert ended.returncode == 1
    assert f"Agent {worker.agent.name}" in ended.stdout
    assert f"(${SPENT_LIMIT_USD} per day) has ${SPENT_LIMIT_USD} spent" in ended.stdout
    assert "resets" in ended.stdout
    assert counted(on, worker) == 1
    assert on.fake.stats()["requests"] == 0
