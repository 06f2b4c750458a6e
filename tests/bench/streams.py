"""Measures what a stream costs on its way through: ./dev bench streams. One worker on one core, metering on.

Processor time for each event, the delay of the first token against the provider asked directly in the same rounds (with
nothing else to do, and beside running streams), and the memory of 2,000 open streams. Medians of three interleaved
rounds. The exit status is 1 when a bar does not hold.
"""

import asyncio
import os
import statistics
import sys

import psutil

from tests.bench import worker
from tests.bench.client import Client, Target, Took, request
from tests.bench.figures import later, pair, print_bars
from tests.bench.worker import Stage, cpu_seconds

SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
CPU_STREAMS, CPU_INTERVAL_MS = 50, 20
FIRST_TOKEN_RATE, FIRST_TOKEN_DELAY_MS = 50, 20
OPEN_STREAMS, OPEN_INTERVAL_MS = 2_000, 1_000
ROUNDS = 3
CPU_MAX_US, FIRST_TOKEN_MAX_MS, MEMORY_MAX_KB = 60.0, 2.0, 40.0


async def cpu_us_per_event(target: Target, process: psutil.Process, *, wants_usage: bool) -> float:
    """Processor time of the process for each event, calls included."""
    chunks = int(SECONDS / ROUNDS * 1000 / CPU_INTERVAL_MS)
    client, before = Client(target.port), cpu_seconds(process)
    await _streams(client, target, CPU_STREAMS, chunks, wants_usage=wants_usage)
    client.close()
    return (cpu_seconds(process) - before) / (CPU_STREAMS * chunks) * 1e6


async def events(stage: Stage) -> list[float]:
    """The same for hidden usage, usage that was asked for, and the plain forwarder: medians of the rounds."""
    found: list[list[float]] = [[], [], []]
    for _ in range(ROUNDS):
        found[0].append(await cpu_us_per_event(stage.through, stage.worker, wants_usage=False))
        found[1].append(await cpu_us_per_event(stage.through, stage.worker, wants_usage=True))
        found[2].append(await cpu_us_per_event(stage.plain, stage.forwarder, wants_usage=True))
    return [statistics.median(values) for values in found]


async def first_tokens(targets: list[Target], *, beside: int) -> list[list[float]]:
    """Milliseconds to the first token of calls at a steady rate, target by target in each round.

    beside: so many streams run there meanwhile.
    """
    clients = [Client(target.port) for target in targets]
    found: list[list[float]] = [[] for _ in targets]
    seconds = SECONDS / ROUNDS
    for _ in range(ROUNDS):
        for target, client, times in zip(targets, clients, found, strict=True):
            sent = request(target, 2, 5, FIRST_TOKEN_DELAY_MS)
            running = asyncio.create_task(_streams(client, target, beside, int(seconds * 1000 / CPU_INTERVAL_MS) + 50))
            await asyncio.sleep(0.5)  # until they have all begun
            took = await client.offer(sent, rate=FIRST_TOKEN_RATE, seconds=seconds)
            await running
            times += [one.first * 1000 for one in took]
    for client in clients:
        client.close()
    return found


async def _streams(client: Client, target: Target, count: int, chunks: int, *, wants_usage: bool = True) -> None:
    sent = request(target, chunks, CPU_INTERVAL_MS, 0, wants_usage=wants_usage)
    await asyncio.gather(*(client.ask(sent) for _ in range(count)))


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
    through = stage.through
    for target in (through, stage.plain, stage.direct):
        await Client(target.port).offer(request(target, 20, 5, 0), rate=100, seconds=1)  # warm
    hidden, asked, forwarded = await events(stage)
    quiet, busy = [await _added(stage, beside) for beside in (0, CPU_STREAMS)]
    memory = await memory_kb_per_stream(through, stage.worker)
    rows = [
        (
            f"processor time an event, usage {which}",
            f"{us:.0f} µs", f"≤ {CPU_MAX_US:.0f} µs", us <= CPU_MAX_US, f"{forwarded:.0f} µs",
        )
        for which, us in (("hidden", hidden), ("asked for", asked))
    ] + [
        (
            f"first token later than directly, p50 / p99, {FIRST_TOKEN_RATE} calls/s{beside}",
            ours, f"≤ {FIRST_TOKEN_MAX_MS:.0f} ms (p50)", median_ms <= FIRST_TOKEN_MAX_MS, theirs,
        )
        for beside, (median_ms, ours, theirs) in (("", quiet), (f" beside {CPU_STREAMS} streams", busy))
    ] + [
        (
            f"memory of each of {OPEN_STREAMS:,} open streams",
            f"{memory:.1f} KB", f"≤ {MEMORY_MAX_KB:.0f} KB", memory <= MEMORY_MAX_KB, "",
        ),
    ]  # fmt: skip
    return print_bars(rows)


async def _added(stage: Stage, beside: int) -> tuple[float, str, str]:
    """How much later the first token comes than directly: the median; median and p99 of ours, and of the forwarder."""
    direct, theirs, ours = await first_tokens([stage.direct, stage.plain, stage.through], beside=beside)
    added = later(ours, direct)
    return added[0], pair(added), pair(later(theirs, direct))


if __name__ == "__main__":
    sys.exit(worker.run(measure))
