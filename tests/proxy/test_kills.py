"""F4 in small: processes that are killed under load; ./dev faults kills two hundred."""

import random
from pathlib import Path

from tests.proxy.kills_under_load import kills_lose_nothing
from tests.proxy.stage import stage


def test_killed_processes_lose_nothing(committed_database: str, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with stage(tmp_path, workers=3, environment={"SHREDDER_PROXY_SECONDS": "total=4,stop=5"}) as on:
        kills_lose_nothing(on, kills=3, seconds_between=0.3, seed=seed)
