"""F5: the database is killed fifty times, stopped for a minute and frozen for another, under 200 calls a second."""

import random
from pathlib import Path

from tests.own_postgres import OwnPostgres, own_postgres
from tests.proxy.outage_under_load import outages_lose_nothing
from tests.proxy.stage import stage

__all__ = ["own_postgres"]


def test_a_database_that_is_killed_and_stopped_loses_no_call(own_postgres: OwnPostgres, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with stage(tmp_path, workers=2) as on:
        outages = outages_lose_nothing(on, own_postgres, kills=50, away_seconds=60, calls_per_second=200, seed=seed)
        print(outages)
