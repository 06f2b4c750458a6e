"""Runs the state machine at a size."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from agents.ledger import answers, upkeep
from tests.agents.ledger_machine import LedgerMachine


def run_machine(monkeypatch: pytest.MonkeyPatch, *, examples: int, steps: int, shrink: bool = True) -> None:
    """Run about examples × steps steps; LEDGER_MODEL_SCALE multiplies them.

    shrink: look for the shortest failing run; not worth its time where any failure will do.
    """
    # The model knows no refusals from memory: each is asked for.
    monkeypatch.setattr(answers, "REPEAT_SECONDS", 0.0)
    monkeypatch.setattr(upkeep, "TICK_SECONDS", 0.02)
    scale = float(os.environ.get("LEDGER_MODEL_SCALE", "1"))
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=max(1, int(examples * scale)),
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=shrink,
            phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
            database=None,
        ),
    )
