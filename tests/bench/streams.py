"""Measures what a stream costs on its way through: ./dev bench streams. One worker on one core, metering on.

Processor time for each event, the delay of the first token against the provider asked directly in the same rounds, and
the memory of 2,000 open streams. The exit status is 1 when a bar does not hold.
"""

import asyncio
import os
import statistics
import sys

import psutil

from tests.bench import worker
from tests.bench.client import Client, Target, Took, request
from tests.bench.worker import Stage, cpu_seconds

SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
CPU_STREAMS, CPU_INTERVAL_MS = 50, 20
FIRST_TOKEN_RATE, FIRST_TOKEN_DELAY_MS = 50, 20
OPEN_STREAMS, OPEN_INTERVAL_MS = 2_000, 1_000
ROUNDS = 3
CPU_MAX_US, FIRST_TOKEN_MAX_MS, MEMORY_MAX_KB = 60.0, 2.0, 40.0


async def cpu_us_per_event(target: Target, process: psutil.Process, *, wants_usage: bool) -> float:
    """Processor time of the process for each event, calls included."""
    chunks = int(SECONDS * 1000 / CPU_INTERVAL_MS)
    sent = request(target, chunks, CPU_INTERVAL_MS, 0, wants_usage=wants_usage)
    client, before = Client(target.port), cpu_seconds(process)
    await asyncio.gather(*(client.ask(sent) for _ in range(CPU_STREAMS)))
    client.close()
    return (cpu_seconds(process) - before) / (CPU_STREAMS * chunks) * 1e6


async def first_tokens(targets: list[Target]) -> list[list[float]]:
    """Milliseconds to the first token of calls at a steady rate, target by target in each round."""
    clients = [Client(target.port) for target in targets]
    found: list[list[float]] = [[] for _ in targets]
    for _ in range(ROUNDS):
        for target, client, times in zip(targets, clients, found, strict=True):
            took = await client.offer(
                request(target, 2, 5, FIRST_TOKEN_DELAY_MS), rate=FIRST_TOKEN_RATE, seconds=SECONDS / ROUNDS
            )
            times += [one.first * 1000 for one in took]
    for client in clients:
        client.close()
    return found


async def memory_kb_per_stream(target: Target, process: psutil.Process) -> float:
    """What an open stream adds to the process's memory."""
    sent = request(target, 12, OPEN_INTERVAL_MS, 0, wants_usage=False)
    client, before = Client(target.port), process.memory_full_info().uss
    events = [asyncio.Event() for _ in range(OPEN_STREAMS)]
    calls: list[asyncio.Task[Took]] = []
    for event in events:
        calls.append(asyncio.create_task(client.ask(sent, event)))
        await asyncio.sleep(0.001)
    await asyncio.gather(*(event.wait() for event in events))
    during = process.memory_full_info().uss
    await asyncio.gather(*calls)
    client.close()
    return (during - before) / OPEN_STREAMS / 1024


async def measure(stage: Stage) -> bool:
    """Run everything and print it; whether every bar holds."""
    through, plain = stage.through, stage.plain
    for target in (through, plain, stage.direct):
        await Client(target.port).offer(request(target, 20, 5, 0), rate=100, seconds=1)  # warm
    hidden = await cpu_us_per_event(through, stage.worker, wants_usage=False)
    asked = await cpu_us_per_event(through, stage.worker, wants_usage=True)
    forwarded = await cpu_us_per_event(plain, stage.forwarder, wants_usage=True)
    direct, theirs, ours = await first_tokens([stage.direct, plain, through])
    median, late = ([_at(times, share) - _at(direct, share) for times in (ours, theirs)] for share in (0.5, 0.99))
    memory = await memory_kb_per_stream(through, stage.worker)
    per_event = [("hidden", hidden), ("asked for", asked)]
    rows = [
        (
            f"processor time an event, usage {which}",
            f"{us:.0f} µs", f"≤ {CPU_MAX_US:.0f} µs", us <= CPU_MAX_US, f"{forwarded:.0f} µs",
        )
        for which, us in per_event
    ] + [
        (
            f"first token later than directly, p50 / p99, {FIRST_TOKEN_RATE} calls/s",
            f"{median[0]:.2f} / {late[0]:.2f} ms", f"≤ {FIRST_TOKEN_MAX_MS:.0f} ms (p50)",
            median[0] <= FIRST_TOKEN_MAX_MS, f"{median[1]:.2f} / {late[1]:.2f} ms",
        ),
        (
            f"memory of each of {OPEN_STREAMS:,} open streams",
            f"{memory:.1f} KB", f"≤ {MEMORY_MAX_KB:.0f} KB", memory <= MEMORY_MAX_KB, "",
        ),
    ]  # fmt: skip
    print("| what | here | bar | plain forwarder | |\n|---|---|---|---|---|")
    for name, value, bar, held, beside in rows:
        print(f"| {name} | {value} | {bar} | {beside} | {'ok' if held else 'BELOW'} |")
    return all(held for _, _, _, held, _ in rows)


def _at(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


if __name__ == "__main__":
    sys.exit(worker.run(measure))
