"""Measures the audit on a generated book: ./dev bench audit [calls] [days]. Real PostgreSQL, in a folder that goes.

The first run reads the whole book and remembers it; later ones read what is new; --full reads everything again.
"""

import os
import resource
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.bench.own_servers import own_servers

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def main() -> int:
    """Write the book, run every kind of audit, print the table; 1 when one of them is not green."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    day_count = int(sys.argv[2]) if len(sys.argv) > 2 else 35
    with own_servers(durable=False):
        return _measure(count, day_count)


def _measure(count: int, day_count: int) -> int:
    from agents.audit import audit
    from agents.models import database_now
    from tests.bench import book

    # The last hour comes after the first run, as it does for an hourly task.
    end_at = datetime.now(UTC) - timedelta(minutes=15)
    hour_count = count // (24 * day_count)
    book.found(day_count)
    for day in range(day_count, 0, -1):
        book.write((count - hour_count) // day_count, end_at - HOUR - day * DAY, end_at - HOUR - (day - 1) * DAY)
    first_at = end_at - HOUR + timedelta(minutes=6)
    _settle(first_at)
    runs = [
        _timed("the first, which reads everything", lambda: audit(at=first_at)),
        _timed("at rest", audit),
    ]
    book.write(hour_count, end_at - HOUR, end_at)
    _settle(database_now())
    runs += [
        _timed(f"an hour later, {hour_count:,} calls", audit),
        _timed("--full", lambda: audit(full=True)),
    ]
    print(f"| audit of {count:,} calls in {day_count} days | rows | seconds | of a processor | green |")
    print("|---|---|---|---|---|")
    for row in runs:
        print("| " + " | ".join(row) + " |")
    print(f"Memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB at most.")
    return 0 if all(row[-1] == "yes" for row in runs) else 1


def _settle(at: datetime) -> None:
    """Sum hours and days, and let the database do what it does by itself in the hours between."""
    from django.db import connection

    from agents import rollups

    rollups.roll_up(at)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")


def _timed(name: str, run: Callable[[], Any]) -> list[str]:
    began, worked = time.perf_counter(), _processor_seconds()
    report = run()
    seconds, processor_seconds = time.perf_counter() - began, _processor_seconds() - worked
    print(f"{name}: {seconds:.1f} s", *(report.lines() if not report.ok else []), sep="\n", file=sys.stderr)
    rows = f"{report.read_count + report.remembered_count:,}"
    return [name, rows, f"{seconds:.1f}", f"{processor_seconds:.1f}", "yes" if report.ok else "NO"]


def _processor_seconds() -> float:
    """What this process and its connection have used so far: other work on the machine does not count."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        fields = Path(f"/proc/{cursor.fetchone()[0]}/stat").read_text().rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return time.process_time() + (user + system) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
