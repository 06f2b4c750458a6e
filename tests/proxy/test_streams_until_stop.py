"""F7 in small: streams that run when their process is stopped; ./dev faults opens two thousand."""

from pathlib import Path

from tests.proxy.streams_until_stop import Shape, streams_end_at_a_stop


def test_streams_that_run_at_a_stop_are_whole_or_cut_at_its_limit_and_settled(
    committed_database: str, tmp_path: Path
) -> None:
    shape = Shape(
        streams=60, interval_ms=100, opening_seconds=0.1, direct_seconds=0, measured_seconds=0.5, stop_seconds=1
    )
    figures = streams_end_at_a_stop(tmp_path, shape)
    assert figures.ends["whole"] == 30
    assert figures.through["events"] > 60
