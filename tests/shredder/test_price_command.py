import json
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from agents.pricebook import current_book
from shredder.management.commands.price import priced

CASES_FILE = Path(__file__).parents[1] / "data/metering_cases.jsonl"
CASES = [json.loads(line) for line in CASES_FILE.read_text().splitlines()]
GOOD = {
    "id": "a",
    "provider": "openai",
    "endpoint": "chat",
    "model": "gpt-4o",
    "at": "2026-11-10T12:00:00Z",
    "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    "context": {},
}


def run(stdin: bytes, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(stdin)))
    stdout = StringIO()
    call_command("price", stdout=stdout)
    return [json.loads(line) for line in stdout.getvalue().splitlines()]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_every_worked_case_costs_exactly_what_the_provider_bills(case: dict[str, Any]) -> None:
    answer = priced(json.dumps(case).encode(), current_book())
    assert answer == {"id": case["id"], "cost_usd": case["expected_cost_usd"]}


def test_lines_are_answered_in_order_and_blank_ones_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    second = json.dumps(GOOD | {"id": "b", "model": "no-such-model"})
    answers = run(f"{json.dumps(GOOD)}\n\n  \n{second}".encode(), monkeypatch)
    assert answers == [
        {"id": "a", "cost_usd": "0.003500"},
        {"id": "b", "error": "unpriced model: openai/no-such-model"},
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 5000,
        b'{"id": NaN}',
        b"{}",
    ],
)
def test_a_line_that_is_no_call_is_an_error_of_its_own(line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = run(line + b"\n" + json.dumps(GOOD).encode(), monkeypatch)
    assert [sorted(answer) for answer in answers] == [["error", "id"], ["cost_usd", "id"]]


@pytest.mark.parametrize(
    "change",
    [
        {"provider": None},
        {"provider": "nobody"},
        {"endpoint": ["chat"]},
        {"model": {}},
        {"model": "gpt-4o\x00"},
        {"model": "ft:gpt-4o-2030-01-01:org::id"},
        {"at": "yesterday"},
        {"at": "2026-11-10T12:00:00"},
        {"at": 1762776000},
        {"usage": None},
        {"usage": []},
        {"usage": {}},
        {"usage": {"prompt_tokens": -1, "completion_tokens": 1}},
        {"usage": {"prompt_tokens": 1.5, "completion_tokens": 1}},
        {"usage": {"prompt_tokens": True, "completion_tokens": 1}},
        {"usage": {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 6}}},
        {"usage": {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"audio_tokens": 5}}},
        {"context": "none"},
        {"context": {"tier": "ultrafast"}},
        {"context": {"speed": "fast"}},
        {"context": {"geo": "moon"}},
        {"context": {"geo_mult": "much"}},
        {"context": {"geo_mult": "1/0"}},
        {"context": {"tool_calls": {"crystal_ball": 1}}},
        {"context": {"tool_calls": ["web_search"]}},
    ],
    ids=str,
)
def test_what_cannot_be_priced_is_named_and_never_free(change: dict[str, Any]) -> None:
    answer = priced(json.dumps(GOOD | change).encode(), current_book())
    assert answer["id"] == "a"
    assert set(answer) == {"id", "error"}
    assert answer["error"]


def test_context_may_be_left_out() -> None:
    case = {name: value for name, value in GOOD.items() if name != "context"}
    assert priced(json.dumps(case).encode(), current_book())["cost_usd"] == "0.003500"


def test_lines_may_stand_in_a_file() -> None:
    stdout = StringIO()
    call_command("price", str(CASES_FILE), stdout=stdout)
    answers = [json.loads(line) for line in stdout.getvalue().splitlines()]
    assert [answer["cost_usd"] for answer in answers] == [case["expected_cost_usd"] for case in CASES]
    with pytest.raises(CommandError, match="no-such-file"):
        call_command("price", "no-such-file")
