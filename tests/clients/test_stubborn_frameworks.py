"""Frameworks that do not take a 429 for final, so that docs/clients.md stays true about them.

Where these change, so should the page.
"""

import subprocess
from pathlib import Path

import pytest

from tests.clients.callers import counted, spent_worker, variables
from tests.clients.environments import FRAMEWORKS, run_program
from tests.proxy.stage import Stage

ASLEEP_SECONDS = 15.0


def test_crewai_asks_three_times_and_never_reaches_the_provider(on: Stage, tmp_path: Path) -> None:
    """J4: the exception, which costs no money."""
    worker = spent_worker(on)
    environment = variables(on.server, worker.key)
    seen = run_program("crewai_crew.py", "refusal", python=FRAMEWORKS, home=tmp_path, environment=environment)
    assert "openai.RateLimitError" in seen["refusal"]["classes"]
    assert counted(on, worker) == 3
    assert on.fake.stats()["requests"] == 0


def test_llama_index_with_retries_sleeps_until_the_reset_after_one_request(on: Stage, tmp_path: Path) -> None:
    """J4: what max_retries=0 in our snippet is for."""
    worker = spent_worker(on)
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(
            "llama_index_llm.py", "3", "refusal",
            python=FRAMEWORKS, home=tmp_path, environment=variables(on.server, worker.key), seconds_max=ASLEEP_SECONDS,
        )  # fmt: skip
    assert counted(on, worker) == 1
