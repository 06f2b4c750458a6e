"""F9: a storm of 5,000 calls that their clients cancel at any moment."""

import random
from pathlib import Path

from tests.proxy.cancels_under_load import a_cancel_storm_leaves_nothing_held
from tests.proxy.stage import stage


def test_five_thousand_cancelled_calls_leave_nothing_held(committed_database: str, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with stage(tmp_path, workers=2) as on:
        ends = a_cancel_storm_leaves_nothing_held(on, calls=5_000, at_once=60, seed=seed)
        print(ends, on.fake.stats())
        assert ends["left"] > 1_000
