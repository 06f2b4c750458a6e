"""F7: two thousand open streams of an event a second each, then SIGTERM; SHREDDER_FAULT_STREAMS=full for 5 minutes."""

import os
from pathlib import Path

from tests.proxy.streams_until_stop import SETTLING_SECONDS_MAX, Shape, streams_end_at_a_stop

STREAMS = 2_000
IS_FULL = os.environ.get("SHREDDER_FAULT_STREAMS") == "full"
MEASURED_SECONDS, STOP_SECONDS = (300, 120) if IS_FULL else (20, 15)
MEMORY_KB_MAX, ADDED_P99_MS_MAX = 40.0, 20.0


def test_two_thousand_streams_are_light_in_time_and_settled_at_a_stop(committed_database: str, tmp_path: Path) -> None:
    shape = Shape(
        streams=STREAMS, interval_ms=1_000, opening_seconds=5, direct_seconds=8, measured_seconds=MEASURED_SECONDS,
        stop_seconds=STOP_SECONDS,
    )  # fmt: skip
    figures = streams_end_at_a_stop(tmp_path, shape)
    print(figures)
    assert figures.open_at_stop == STREAMS, "all were there when time and memory were measured"
    assert figures.stopped_seconds <= STOP_SECONDS + SETTLING_SECONDS_MAX
    assert figures.memory_kb_each <= MEMORY_KB_MAX, figures
    assert figures.added_p99_ms <= ADDED_P99_MS_MAX, figures
