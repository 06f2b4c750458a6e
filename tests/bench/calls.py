"""Measures what a plain call costs on its way through: ./dev bench calls. One worker on one core, budgets on, durable.

Calls a second and processor time for each, what a call takes longer than directly, refusals a second, and whether a
flood of refusals holds up another tenant. The exit status is 1 when a bar does not hold.
"""

import asyncio
import os
import sys

from tests.bench import worker
from tests.bench.client import Client, Took, request
from tests.bench.figures import later, pair, print_bars
from tests.bench.worker import Stage, cpu_seconds

SECONDS = float(os.environ.get("BENCH_SECONDS", "6"))
AT_ONCE, PROMPT_BYTES, BUDGET_STATUS = 64, 1_800, 429
STEADY_RATE, DELAY_MS, ROUNDS, FLOOD_RATE = 50, 20, 3, 500
CALLS_MIN, REFUSALS_MIN, ADDED_MAX_MS = 3_000, 8_000, (3.0, 8.0)


async def saturated(stage: Stage) -> list[tuple[float, float]]:
    """Calls a second and microseconds of processor time for each: ours, refusals, plain forwarder."""
    found = []
    for target, process, status in (
        (stage.through, stage.worker, 200),
        (stage.refused, stage.worker, BUDGET_STATUS),
        (stage.plain, stage.forwarder, 200),
    ):
        client, sent = Client(target.port), request(target, 0, 0, 0, pad=PROMPT_BYTES)
        await client.saturate(sent, at_once=AT_ONCE, seconds=1, status=status)  # warm
        before = cpu_seconds(process)
        count = len(await client.saturate(sent, at_once=AT_ONCE, seconds=SECONDS, status=status))
        found.append((count / SECONDS, (cpu_seconds(process) - before) / count * 1e6))
        client.close()
    return found


async def steady(stage: Stage) -> list[list[float]]:
    """Milliseconds of calls at a steady low rate: ours, plain forwarder, directly; in the same rounds."""
    targets = (stage.through, stage.plain, stage.direct)
    clients: list[Client] = [Client(target.port) for target in targets]
    found: list[list[float]] = [[] for _ in targets]
    for _ in range(ROUNDS):
        for target, client, times in zip(targets, clients, found, strict=True):
            sent = request(target, 0, 0, DELAY_MS, pad=PROMPT_BYTES)
            times += _ms(await client.offer(sent, rate=STEADY_RATE, seconds=SECONDS / ROUNDS))
    for client in clients:
        client.close()
    return found


async def beside_a_flood(stage: Stage) -> list[float]:
    """Milliseconds of one tenant's calls while another's are refused at a rate ten times as high."""
    ours, theirs = Client(stage.through.port), Client(stage.refused.port)
    flood = asyncio.create_task(_flood(theirs, request(stage.refused, 0, 0, 0, pad=PROMPT_BYTES)))
    took = await ours.offer(request(stage.through, 0, 0, DELAY_MS, pad=PROMPT_BYTES), rate=STEADY_RATE, seconds=SECONDS)
    flood.cancel()
    await asyncio.gather(flood, return_exceptions=True)
    for client in (ours, theirs):
        client.close()
    return _ms(took)


async def _flood(client: Client, sent: bytes) -> None:
    calls = set()
    for _ in range(int(FLOOD_RATE * SECONDS * 2)):
        call = asyncio.create_task(client.ask(sent, status=BUDGET_STATUS))
        calls.add(call)
        call.add_done_callback(calls.discard)
        await asyncio.sleep(1 / FLOOD_RATE)


async def measure(stage: Stage) -> bool:
    """Run everything and print it; whether every bar holds."""
    (calls, call_us), (refusals, refusal_us), (plain_calls, plain_us) = await saturated(stage)
    ours, plain, direct = await steady(stage)
    flooded = await beside_a_flood(stage)
    added = [later(times, direct) for times in (ours, plain, flooded)]
    rows = [
        (
            f"calls, {AT_ONCE} at once",
            f"{calls:,.0f}/s, {call_us:.0f} µs each", f"≥ {CALLS_MIN:,}/s", calls >= CALLS_MIN,
            f"{plain_calls:,.0f}/s, {plain_us:.0f} µs each",
        ),
        (
            f"refusals, {AT_ONCE} at once",
            f"{refusals:,.0f}/s, {refusal_us:.0f} µs each", f"≥ {REFUSALS_MIN:,}/s", refusals >= REFUSALS_MIN, "",
        ),
        (
            f"added at {STEADY_RATE} calls/s, provider {DELAY_MS} ms, p50 / p99",
            pair(added[0]), f"≤ {pair(ADDED_MAX_MS)}",
            all(value <= most for value, most in zip(added[0], ADDED_MAX_MS, strict=True)), pair(added[1]),
        ),
        (f"the same beside {FLOOD_RATE} refusals/s of another tenant", pair(added[2]), "", True, ""),
    ]  # fmt: skip
    return print_bars(rows)


def _ms(took: list[Took]) -> list[float]:
    return [one.whole * 1000 for one in took]


if __name__ == "__main__":
    sys.exit(worker.run(measure))
