"""Numbers of the whole installation for /metrics, read from the database when somebody asks."""

from collections.abc import Iterator

from django.db import Error as DatabaseError
from django.db import connections
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

# Few leases, and of reservations only those that are open: both tables are small.
QUESTION = """
SELECT count(*), count(degraded_since), (SELECT count(*) FROM reservation)
FROM owner_lease WHERE expires_at > clock_timestamp()
"""
NAMES = (
    ("shredder_processes", "Processes that serve calls"),
    ("shredder_guards_degraded", "Processes whose guards count alone, because Valkey is away"),
    ("shredder_calls_running", "Calls whose ceiling is held"),
)


class Installation(Collector):
    """The gauges; every process of the installation gives the same ones."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Ask once; without the database only that it is away is known."""
        counts = _counts()
        yield GaugeMetricFamily("shredder_database_up", "Whether the database answers", value=int(bool(counts)))
        for (name, meaning), count in zip(NAMES, counts, strict=False):
            yield GaugeMetricFamily(name, meaning, value=count)


def _counts() -> tuple[int, ...]:
    connection = connections["default"]
    try:
        with connection.cursor() as cursor:
            cursor.execute(QUESTION)
            row: tuple[int, ...] = cursor.fetchone()
    except DatabaseError:
        return ()
    finally:
        connection.close()
    return row
