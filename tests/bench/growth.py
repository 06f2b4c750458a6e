"""Measures whether a call costs more where everything has grown: ./dev bench growth [calls]. Real PostgreSQL, durable.

Two databases on one server, asked in turn: one with a single agent and an empty book, and a copy of it with a thousand
agents, their budgets and a book of a million calls. The exit status is 1 when a call costs over a tenth more there.
"""

import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.bench import book, ledger
from tests.bench.figures import additions_per_second
from tests.bench.own_servers import own_servers

DAYS, ROUNDS, LOOK_UPS = 35, 7, 300
DAY = timedelta(days=1)
GROWN = "grown"
RATIO_MAX = 1.1
CALLS = ledger.Case("as fast as answers come", 4)
CALM = ledger.Case("50 calls/s", 4, rate=50)


def main() -> int:
    """Make both databases, measure in turn, print the table."""
    call_count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with own_servers(durable=True):
        facts, key = _one_agent()
        _copy_and_grow(call_count)
        held = _compare(facts, key, call_count)
        print(f"This machine: {additions_per_second():.0f} million additions a second on one core, as busy as it was.")
        return 0 if held else 1


def _one_agent() -> tuple[dict[str, Any], str]:
    """The agent that calls in both, with a key."""
    from agents import keys
    from agents.models import Agent, KeyMode

    facts = ledger.prepare(CALLS)
    return facts, keys.issue(Agent.objects.get(), KeyMode.LIVE, by=None)[1]


def _copy_and_grow(call_count: int) -> None:
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.close()
    _run(f"CREATE DATABASE {GROWN} TEMPLATE {name}", database="postgres")
    connection.close()
    connection.settings_dict["NAME"] = GROWN
    end_at = datetime.now(UTC) - timedelta(minutes=15)
    book.found(DAYS)
    for day in range(DAYS, 0, -1):
        book.write(call_count // DAYS, end_at - day * DAY, end_at - (day - 1) * DAY)
    for database in (name, GROWN):
        _run("VACUUM ANALYZE", database=database)
    _run("CHECKPOINT", database=name)


def _run(statement: str, *, database: str) -> None:
    from django.db import connection

    connection.close()
    connection.settings_dict["NAME"] = database
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _compare(facts: dict[str, Any], key: str, call_count: int) -> bool:
    measures: dict[str, Callable[[str], float]] = {
        "a call, 64 at once": lambda database: _microseconds_each(facts, database),
        "a hold, 50 calls/s (p50)": lambda database: _reserve_microseconds(facts, database),
        "a key's look-up": lambda database: _look_up_microseconds(key, database),
    }
    _run("SELECT 1", database=GROWN)
    print(f"| µs | one agent, an empty book | {_size()}, {call_count:,} calls | ratio | bar | |")
    print("|---|---|---|---|---|---|")
    all_held = True
    for name, measure in measures.items():
        few, many = (statistics.median(values) for values in _in_turn(measure, _small(facts)))
        held = many / few <= RATIO_MAX
        all_held = all_held and held
        verdict = "ok" if held else "BELOW"
        print(f"| {name} | {few:,.0f} | {many:,.0f} | {many / few:.2f} × | ≤ {RATIO_MAX} × | {verdict} |", flush=True)
    return all_held


def _in_turn(measure: Callable[[str], float], small: str) -> tuple[list[float], list[float]]:
    """What each database took, round by round; each is the first of every other round."""
    took: dict[str, list[float]] = {small: [], GROWN: []}
    for number in range(ROUNDS):
        for database in (small, GROWN) if number % 2 else (GROWN, small):
            took[database].append(measure(database))
    return took[small], took[GROWN]


def _small(facts: dict[str, Any]) -> str:
    from psycopg.conninfo import conninfo_to_dict

    return str(conninfo_to_dict(facts["dsn"])["dbname"])


def _at(facts: dict[str, Any], database: str) -> dict[str, Any]:
    from psycopg.conninfo import make_conninfo

    return facts | {"dsn": make_conninfo(facts["dsn"], dbname=database)}


def _microseconds_each(facts: dict[str, Any], database: str) -> float:
    [load] = ledger.put_on(CALLS, _at(facts, database))
    return load.seconds / load.settled * 1e6


def _reserve_microseconds(facts: dict[str, Any], database: str) -> float:
    [load] = ledger.put_on(CALM, _at(facts, database))
    return statistics.median(load.reserve_ms or [0.0]) * 1000


def _look_up_microseconds(key: str, database: str) -> float:
    from agents.callers import caller_for

    _run("SELECT 1", database=database)
    times = []
    for _ in range(LOOK_UPS):
        began = time.perf_counter()
        caller_for(key)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


def _size() -> str:
    from agents.models import Agent, Budget

    return f"{Agent.objects.count():,} agents, {Budget.objects.count():,} budgets"


if __name__ == "__main__":
    sys.exit(main())
