"""curl, as docs/clients.md writes it: what somebody sees who has nothing else."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.clients.callers import SPENT_LIMIT_USD, counted, spent_worker, variables
from tests.clients.environments import run
from tests.proxy.stage import Stage, Worker, all_settled

SECONDS_MAX = 30.0
DOCUMENTED = """\
curl -sS {options} $OPENAI_BASE_URL/chat/completions \\
  -H "Authorization: Bearer $OPENAI_API_KEY" -H "Content-Type: application/json" \\
  -d {body}"""


def curl(on: Stage, worker: Worker, home: Path, options: str = "", **fields: Any) -> str:
    body = {"model": "gpt-4o-mini", "max_tokens": 50, "messages": [{"role": "user", "content": "Hi"}], **fields}
    command = DOCUMENTED.format(options=options, body=shlex.quote(json.dumps(body)))
    ended = run("sh", "-c", command, home=home, environment=variables(on.server, worker.key), seconds_max=SECONDS_MAX)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_plain_call_and_one_that_calls_a_tool(on: Stage, tmp_path: Path) -> None:
    worker = on.worker()
    assert json.loads(curl(on, worker, tmp_path))["choices"][0]["message"]["content"] == "word word word word word"
    answer = json.loads(curl(on, worker, tmp_path, messages=[{"role": "user", "content": "[[tool_calls=1]]"}]))
    assert answer["choices"][0]["message"]["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":1}'}
    all_settled()
    assert worker.spent_pico == on.fake.billed_pico() > 0


def test_a_stream_ends_as_openais_does(on: Stage, tmp_path: Path) -> None:
    events = curl(on, on.worker(), tmp_path, options="-N", stream=True).split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    assert all(json.loads(event.removeprefix("data: "))["choices"] for event in events[:-2])


@pytest.mark.parametrize("status", [429, 402])
def test_a_refusal_can_be_read(on: Stage, tmp_path: Path, status: int) -> None:
    """J4, J5."""
    worker = spent_worker(on, refusal_status=status)
    head, _, body = curl(on, worker, tmp_path, options="-i").partition("\n\n")
    assert f" {status} " in head.splitlines()[0]
    assert "x-should-retry: false" in head
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert f"Agent {worker.agent.name}" in error["message"]
    assert f"${SPENT_LIMIT_USD} spent" in error["message"]
    assert error["awx"]["resets_at"]
    assert counted(on, worker) == 1
