"""Measures the ledger against its bars: ./dev bench ledger. Real PostgreSQL, durable commits, one hot organisation.

Each case runs some seconds of reserve and settle from one process or several, on an organisation whose every call
counts against 2, 4 or 8 balances. The last column says whether the bar holds; the exit status is 1 when one does not.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.figures import additions_per_second
from tests.bench.own_servers import own_servers

SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
USD = 10**12


FEW, MANY = "2 balances", "8 balances"
MANY_BUDGETS_RATIO_MAX = 1.7  # what eight budgets may cost, in the same run


@dataclass(frozen=True)
class Case:
    """One load. A rate of 0 asks as fast as answers come.

    held_pico: stays held meanwhile, so that refusals are decided by the database and not repeated from memory.
    """

    name: str
    balances: int
    processes: int = 1
    callers: int = 64
    rate: int = 0
    limit_pico: int | None = None
    ask_pico: int = 10**9
    held_pico: int = 0
    calls_min: int = 0
    p50_max_ms: float = 0.0
    p99_max_ms: float = 0.0


CASES = [
    Case(FEW, 2),
    Case("4 balances", 4, calls_min=6_000),
    Case(MANY, 8, calls_min=4_000),
    Case("8 balances, 4 × 32 callers", 8, processes=4, callers=32, calls_min=3_500),
    Case("limit reached, calls running", 4, limit_pico=10**12, held_pico=10**12 - 10**8, calls_min=10_000),
    Case("limit reached, nothing held", 4, limit_pico=10**8),
    Case("1,000 calls/s offered", 8, rate=1_000, p50_max_ms=5, p99_max_ms=12),
    Case("50 calls/s offered", 2, rate=50),
]


@dataclass
class Load:
    """What one process did."""

    settled: int = 0
    refused: int = 0
    seconds: float = 0.0
    reserve_ms: list[float] | None = None


async def _call(ledger: Any, ask: Any, times: list[float], load: Load) -> None:
    from agents.ledger import BudgetRefused, CallEnd

    began = time.perf_counter()
    try:
        await ledger.reserve(ask)
    except BudgetRefused:
        load.refused += 1
        times.append((time.perf_counter() - began) * 1000)
        return
    times.append((time.perf_counter() - began) * 1000)
    await ledger.settle(ask.call_id, _end(CallEnd))
    load.settled += 1


def _end(call_end: Any) -> Any:
    return call_end(
        cost_pico=654_321_000,
        tokens=1_789,
        input_tokens=1_234,
        output_tokens=555,
        pricing={"row": "openai/gpt-4o-mini", "tier": "default"},
        http_status=200,
        first_byte_ms=312,
        duration_ms=1_843,
        provider_request_id="req_0123456789abcdef0123456789abcdef",
    )


async def _run(case: Case, facts: dict[str, Any]) -> Load:
    from uuid import UUID

    from accounts.ids import uuid7
    from agents.ledger import Ask, CallEnd, CallStart, Ledger

    start = CallStart(
        key_id=7,
        provider="openai",
        endpoint="chat/completions",
        model="gpt-4o-mini",
        streamed=True,
        session="run-4711",
        price_version="0123456789ab",
        system_bytes=2_048,
        body_fingerprint=-6_148_914_691_236_517_205,
        last_message_fingerprint=6_148_914_691_236_517_205,
    )
    common: dict[str, Any] = {
        "organization_id": UUID(facts["organization"]),
        "agent_id": UUID(facts["agent"]),
        "agent_version": 1,
        "organization_version": 1,
        "budgets": tuple((budget, "") for budget in facts["budgets"]),
        "usd_pico": case.ask_pico,
        "tokens": 20_000,
        "deadline_seconds": 1_900.0,
        "start": start,
    }
    ledger = Ledger(facts["dsn"])
    await ledger.start()
    load, times = Load(), []
    first = Ask(call_id=uuid7(), **(common | {"usd_pico": case.held_pico}))
    await ledger.reserve(first)
    began = time.perf_counter()
    ends_at = began + SECONDS

    async def caller() -> None:
        while time.perf_counter() < ends_at:
            await _call(ledger, Ask(call_id=uuid7(), **common), times, load)

    async def offer() -> None:
        calls = set()
        for number in range(int(case.rate / case.processes * SECONDS)):
            await asyncio.sleep(max(0.0, began + number * case.processes / case.rate - time.perf_counter()))
            call = asyncio.create_task(_call(ledger, Ask(call_id=uuid7(), **common), times, load))
            calls.add(call)
            call.add_done_callback(calls.discard)
        await asyncio.gather(*calls)

    await (offer() if case.rate else asyncio.gather(*(caller() for _ in range(case.callers))))
    load.seconds = time.perf_counter() - began
    load.reserve_ms = times
    await ledger.void(first.call_id, CallEnd())
    await ledger.stop()
    return load


def _child(case: Case, facts: dict[str, Any]) -> None:
    import uvloop

    json.dump(asdict(uvloop.run(_run(case, facts))), sys.stdout)


def prepare(case: Case) -> dict[str, Any]:
    """Create the organisation of one case; its budgets differ in window and unit, two for each call are dollars.

    Returns its ids and where they are.
    """
    from accounts.models import Organization
    from agents import budgets
    from agents.ledger.connection import conninfo_of_django
    from agents.models import Budget

    organization = Organization.objects.create(name=case.name)
    agent = budgets.create_agent(organization, "Bench", daily_limit_pico=case.limit_pico or 10**18, by=None)
    kinds = [(unit, window) for unit in ("usd", "tokens", "calls") for window in ("day", "week", "month", "total")]
    for unit, window in [kind for kind in kinds if kind != ("usd", "day")][: case.balances - 2]:
        Budget.objects.create(
            organization=organization, agent=agent, scope="agent", unit=unit, window=window, limit=10**18
        )
    return {
        "organization": str(organization.pk),
        "agent": str(agent.pk),
        "budgets": list(Budget.objects.filter(organization=organization).values_list("pk", flat=True)),
        "dsn": conninfo_of_django(),
    }


def put_on(case: Case, facts: dict[str, Any]) -> list[Load]:
    """Put a case's load on what was prepared for it; a load for each of its processes."""
    command = [sys.executable, "-m", "tests.bench.ledger", json.dumps(asdict(case)), json.dumps(facts)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(case.processes)]
    return [Load(**json.loads(child.communicate()[0])) for child in children]


def _measure(case: Case) -> tuple[list[str], bool]:
    loads = put_on(case, prepare(case))
    calls = sum((load.settled + load.refused) / load.seconds for load in loads)
    refused = sum(load.refused for load in loads) / sum(load.settled + load.refused for load in loads)
    times = sorted(ms for load in loads for ms in load.reserve_ms or [])
    p50, p99 = times[len(times) // 2], times[len(times) * 99 // 100]
    held = (
        calls >= case.calls_min
        and (not case.p50_max_ms or p50 <= case.p50_max_ms)
        and (not case.p99_max_ms or p99 <= case.p99_max_ms)
    )
    bar = f"≥ {case.calls_min:,}/s" if case.calls_min else ""
    if case.p50_max_ms:
        bar = f"≤ {case.p50_max_ms:g} / {case.p99_max_ms:g} ms"
    return [
        case.name,
        f"{calls:,.0f}",
        f"{refused:.0%}",
        f"{p50:.1f} / {p99:.1f}",
        bar,
        "ok" if held else "BELOW",
    ], held


def _let_rest() -> None:
    """Write out and clean up what the case before left, so that no case is charged for another's rows."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE call, balance, reservation")
        cursor.execute("CHECKPOINT")


def main() -> int:
    """Start PostgreSQL in a folder of its own, run every case, print the table."""
    with own_servers(durable=True):
        rows, all_held = [["load", "calls/s", "refused", "reserve p50 / p99 ms", "bar", ""]], True
        wanted = sys.argv[1:] or [""]
        speeds: dict[str, float] = {}
        for case in (case for case in CASES if any(name in case.name for name in wanted)):
            _let_rest()
            row, held = _measure(case)
            speeds[case.name] = float(row[1].replace(",", ""))
            rows.append(row)
            all_held = all_held and held
            print(" | ".join(row), file=sys.stderr, flush=True)
    if {FEW, MANY} <= speeds.keys():
        ratio = speeds[FEW] / speeds[MANY]
        all_held = all_held and ratio <= MANY_BUDGETS_RATIO_MAX
        rows.append([f"{MANY} cost", f"{ratio:.2f} ×", "", "", f"≤ {MANY_BUDGETS_RATIO_MAX} × {FEW}", ""])
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(f"This machine: {additions_per_second():.0f} million additions a second on one core, as busy as it was.")
    return 0 if all_held else 1


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1].startswith("{"):
        _child(Case(**json.loads(sys.argv[1])), json.loads(sys.argv[2]))
    else:
        sys.exit(main())
