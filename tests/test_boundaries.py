from datetime import UTC, datetime

import pytest

from tests.boundaries import wait_seconds


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        ("12:17:00", 0), ("12:59:56.5", 0), ("12:59:57", 5), ("12:59:59.75", 2.25), ("13:00:00", 2), ("13:00:01", 1),
        ("13:00:02", 0), ("18:29:58", 4), ("23:58:59", 0), ("23:59:00", 62), ("23:59:59", 3), ("00:00:00.5", 1.5),
    ],
)  # fmt: skip
def test_no_test_begins_where_its_day_or_hour_would_end_under_it(at: str, seconds: float) -> None:
    moment = datetime.fromisoformat(f"2026-12-31T{at}").replace(tzinfo=UTC).timestamp()
    assert wait_seconds(moment) == pytest.approx(seconds)
