"""F4: kill -9 of a random process of four, two hundred times under a hundred calls a second."""

import random
from pathlib import Path

from tests.proxy.kills_under_load import kills_lose_nothing
from tests.proxy.stage import stage


def test_two_hundred_kills_under_load_lose_nothing(committed_database: str, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with stage(tmp_path, workers=4, environment={"SHREDDER_PROXY_SECONDS": "total=4,stop=5"}) as on:
        outcome = kills_lose_nothing(on, kills=200, seconds_between=1.0, seed=seed)
        print(outcome, f"billed {on.fake.stats()['billed']}")
