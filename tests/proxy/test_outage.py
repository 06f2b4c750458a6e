"""F5 in small: the database is killed, stopped and frozen under load; ./dev faults does it for minutes."""

import random
from pathlib import Path

from tests.own_postgres import OwnPostgres, own_postgres
from tests.proxy.outage_under_load import outages_lose_nothing
from tests.proxy.stage import stage

__all__ = ["own_postgres"]


def test_an_outage_of_the_database_loses_no_call(own_postgres: OwnPostgres, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with stage(tmp_path) as on:
        outages_lose_nothing(on, own_postgres, kills=2, away_seconds=1, calls_per_second=30, seed=seed)
