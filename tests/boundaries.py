"""When no test may begin: a day or an hour that ends under a test makes another window of what it has just spent.

PostgreSQL's clock, which decides windows, cannot be set. What has to happen at a boundary has tests that bring the
moment along (tests/agents/test_ledger_windows.py, test_scenarios.py, test_rollups.py).
"""

DAY_SECONDS, DAY_MARGIN_SECONDS = 86_400, 60  # long enough for every test of a whole installation
HALF_HOUR_SECONDS, HALF_HOUR_MARGIN_SECONDS = 1_800, 3  # some zones of the cast are half an hour off
AFTER_SECONDS = 2  # tests write calls of a second ago


def wait_seconds(at: float) -> float:
    """Return how long to wait before a test may begin; at: Unix time in seconds."""
    to_day, to_half_hour = DAY_SECONDS - at % DAY_SECONDS, HALF_HOUR_SECONDS - at % HALF_HOUR_SECONDS
    if to_day <= DAY_MARGIN_SECONDS or to_half_hour <= HALF_HOUR_MARGIN_SECONDS:
        return to_half_hour + AFTER_SECONDS
    return max(0, AFTER_SECONDS - at % HALF_HOUR_SECONDS)
