"""Measures what guards cost a call: ./dev bench guards. A real Valkey of its own, on the loop that web processes run.

Each case takes a turn, gives the call's end back, and times the part that the call waits for.
"""

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import uvloop

TURNS = int(os.environ.get("BENCH_TURNS", "5000"))
ALL = {
    "calls_per_minute": 10**6, "tokens_per_minute": 10**12, "repeat_mode": "block", "repeat_count": 10**6,
    "busy_mode": "block", "busy_hours": 168, "retry_mode": "block",
}  # fmt: skip
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("no guard, one at a time", {}, 1),
    ("calls per minute, one at a time", {"calls_per_minute": 10**6}, 1),
    ("every guard, one at a time", ALL, 1),
    ("every guard, 64 at once", ALL, 64),
]


def _plan(guards: Any) -> Any:
    """What the guards read of a plan."""
    caller = SimpleNamespace(
        agent_id=uuid4(), agent_name="bot", agent_version=1, practice=False, blocked_until=None, guards=guards
    )
    request = SimpleNamespace(facts=SimpleNamespace(last_message_fingerprint="00"), choices=1)
    target = SimpleNamespace(provider="openai", model="gpt-4o-mini")
    return SimpleNamespace(
        caller=caller, request=request, target=target, priced_model="gpt-4o-mini", tokens_max=900, may_shrink=False
    )


async def _no_count(*_: Any) -> None:
    """Every plan fits."""


async def _turns(gate: Any, plan: Any, count: int, times: list[float]) -> None:
    from agents.ledger import CallEnd
    from proxy.guards import Turn

    for _ in range(count):
        began, turn = time.perf_counter(), Turn(gate, "", asyncio.Event().wait)
        await turn.take(plan, _no_count)
        times.append((time.perf_counter() - began) * 1_000_000)
        turn.end(CallEnd(tokens=500))


async def _pings(url: str) -> None:
    """What one round trip takes, with nothing to do at its end."""
    from redis.asyncio import Redis

    client, times = Redis.from_url(url), list[float]()
    for _ in range(TURNS):
        began = time.perf_counter()
        await client.ping()
        times.append((time.perf_counter() - began) * 1_000_000)
    print(f"{'a bare round trip':34} {statistics.median(times):8.0f} {statistics.quantiles(times, n=100)[98]:8.0f}")
    await client.aclose()


async def _case(url: str, name: str, guards: dict[str, Any], at_once: int) -> None:
    from agents.models import Guards
    from proxy.guards import Gate

    gate, plan, times = Gate(url, seconds=5, tell=print), _plan(Guards(**guards)), list[float]()
    await _turns(gate, plan, 200, [])
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(_turns(gate, plan, TURNS // at_once, times) for _ in range(at_once)))
    await gate.settled(10)
    cpu_us = (time.process_time() - cpu) / len(times) * 1_000_000
    rate = len(times) / (time.perf_counter() - began)
    p99 = statistics.quantiles(times, n=100)[98]
    print(f"{name:34} {statistics.median(times):8.0f} {p99:8.0f} {cpu_us:8.0f} {rate:10,.0f}")
    await gate.stop()


async def _cases(url: str) -> None:
    print(f"{'':34} {'p50 µs':>8} {'p99 µs':>8} {'CPU µs':>8} {'turns/s':>10}")
    await _pings(url)
    for name, guards, at_once in CASES:
        await _case(url, name, guards, at_once)


def main() -> None:
    """Run every case."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shredder.settings_test")
    import django

    django.setup()
    from tests.valkey import private_valkey

    with tempfile.TemporaryDirectory() as folder, private_valkey(Path(folder)) as valkey:
        uvloop.run(_cases(valkey.url))


if __name__ == "__main__":
    main()
