"""Prompts so long that a dearer tier prices them (A5)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agents.money import parse_usd
from tests.proxy.stage import Stage, all_settled


def test_holds_of_long_prompts_are_at_the_long_rate(on: Stage) -> None:
    """A5: of five long prompts at once, those are admitted that fit at the dearer rate, whatever the fake bills."""
    worker = on.worker("3.5")
    # 300,000 bytes are bounded above the 272,000 tokens from which the model's input costs twice as much.
    body: dict[str, Any] = {
        "model": "gpt-6.1-sol",
        "messages": [{"role": "user", "content": "word " * 60_000 + "[[bill=ceiling]]"}],
        "max_tokens": 100,
    }
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: on.post(worker.key, json=body), range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429, 429]
    all_settled()
    assert worker.spent_pico <= parse_usd("3.5")
    assert all(row.held_pico > parse_usd("1.1") for row in worker.calls() if row.status == "settled")
