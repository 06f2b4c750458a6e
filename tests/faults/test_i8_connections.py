"""I8 at full size: two thousand streams on two workers, and the connections that the database sees."""

import asyncio
from pathlib import Path

from tests.proxy.stage import stage
from tests.proxy.streams import connections_stay_bounded


def test_two_thousand_streams_need_no_more_connections_than_the_pools_have(
    committed_database: str, tmp_path: Path
) -> None:
    with stage(tmp_path, workers=2) as on:
        asyncio.run(connections_stay_bounded(on, 2_000, seconds=60))
