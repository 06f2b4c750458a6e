"""Measures what a stream costs on its way through: ./dev bench streams. One worker on one core, metering on.

Processor time for each event, the delay of the first token against the provider asked directly in the same run, and
the memory of 2,000 open streams. The exit status is 1 when a bar does not hold.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import uvloop

SECONDS = float(os.environ.get("BENCH_SECONDS", "8"))
CPU_STREAMS, CPU_INTERVAL_MS = 50, 20
FIRST_TOKEN_RATE, FIRST_TOKEN_DELAY_MS = 50, 20
OPEN_STREAMS, OPEN_INTERVAL_MS = 2_000, 1_000
ROUNDS = 3
CPU_MAX_US, FIRST_TOKEN_MAX_MS, MEMORY_MAX_KB = 60.0, 2.0, 40.0


def request(path: str, key: str, chunks: int, interval_ms: int, delay_ms: int, *, wants_usage: bool = False) -> bytes:
    """A streamed chat completion as bytes; the plan for the provider comes last."""
    options = b',"stream_options":{"include_usage":true}' if wants_usage else b""
    plan = b"bench:%d,%d,%d;" % (chunks, interval_ms, delay_ms)
    body = (
        b'{"model":"gpt-4o-mini","max_tokens":100,"stream":true' + options
        + b',"messages":[{"role":"user","content":"Say a word. ' + plan + b'"}]}'
    )  # fmt: skip
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def stream(port: int, sent: bytes, opened: asyncio.Event | None = None) -> float:
    """Read one stream to its end; the seconds to its first event. opened: set at that moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        began = time.perf_counter()
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0], head
        await reader.readuntil(b"\n\n")
        seconds = time.perf_counter() - began
        if opened is not None:
            opened.set()
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            piece = await reader.read(2**16)
            assert piece, f"cut off after {rest!r}"
            rest = (rest + piece)[-60:]
        assert b"[DONE]" in rest, rest
        return seconds
    finally:
        writer.close()


async def cpu_us_per_event(port: int, path: str, key: str, worker: psutil.Process, *, wants_usage: bool) -> float:
    """Processor time of the worker for each event, calls included."""
    chunks = int(SECONDS * 1000 / CPU_INTERVAL_MS)
    sent = request(path, key, chunks, CPU_INTERVAL_MS, 0, wants_usage=wants_usage)
    before = sum(worker.cpu_times()[:2])
    await asyncio.gather(*(stream(port, sent) for _ in range(CPU_STREAMS)))
    return (sum(worker.cpu_times()[:2]) - before) / (CPU_STREAMS * chunks) * 1e6


async def first_token_ms(port: int, path: str, key: str) -> list[float]:
    """The delays of the first token of calls that are offered at a steady rate, sorted."""
    sent = request(path, key, 2, 5, FIRST_TOKEN_DELAY_MS)
    calls = []
    for _ in range(int(SECONDS / ROUNDS * FIRST_TOKEN_RATE)):
        calls.append(asyncio.create_task(stream(port, sent)))
        await asyncio.sleep(1 / FIRST_TOKEN_RATE)
    return sorted(second * 1000 for second in await asyncio.gather(*calls))


async def memory_kb_per_stream(port: int, path: str, key: str, worker: psutil.Process) -> float:
    """What an open stream adds to the worker's memory."""
    sent = request(path, key, 12, OPEN_INTERVAL_MS, 0)
    before = worker.memory_full_info().uss
    events = [asyncio.Event() for _ in range(OPEN_STREAMS)]
    calls = []
    for event in events:
        calls.append(asyncio.create_task(stream(port, sent, event)))
        await asyncio.sleep(0.001)
    await asyncio.gather(*(event.wait() for event in events))
    during = worker.memory_full_info().uss
    await asyncio.gather(*calls)
    return (during - before) / OPEN_STREAMS / 1024


async def measure(through: tuple[int, str, str], direct: tuple[int, str, str], worker: psutil.Process) -> bool:
    """Run everything and print it; whether every bar holds."""
    await asyncio.gather(*(stream(through[0], request(*through[1:], 20, 5, 0)) for _ in range(20)))  # warm
    hidden = await cpu_us_per_event(*through, worker, wants_usage=False)
    asked = await cpu_us_per_event(*through, worker, wants_usage=True)
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        theirs += await first_token_ms(*direct)
        ours += await first_token_ms(*through)
    added = [_at(ours, share) - _at(theirs, share) for share in (0.5, 0.99)]
    memory = await memory_kb_per_stream(*through, worker)
    rows = [
        ("processor time an event, usage hidden", f"{hidden:.0f} µs", f"≤ {CPU_MAX_US:.0f} µs", hidden <= CPU_MAX_US),
        ("processor time an event, usage asked for", f"{asked:.0f} µs", f"≤ {CPU_MAX_US:.0f} µs", asked <= CPU_MAX_US),
        (
            "first token later than directly, p50 / p99", f"{added[0]:.2f} / {added[1]:.2f} ms",
            f"≤ {FIRST_TOKEN_MAX_MS:.0f} ms (p50)", added[0] <= FIRST_TOKEN_MAX_MS,
        ),
        (f"memory of each of {OPEN_STREAMS:,} open streams", f"{memory:.1f} KB", f"≤ {MEMORY_MAX_KB:.0f} KB",
         memory <= MEMORY_MAX_KB),
    ]  # fmt: skip
    for name, value, bar, held in rows:
        print(f"| {name} | {value} | {bar} | {'ok' if held else 'BELOW'} |")
    return all(held for *_, held in rows)


def _at(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


@contextmanager
def provider() -> Iterator[int]:
    """The provider in a process of its own; yields its port."""
    command = [sys.executable, "-m", "tests.bench.stream_provider"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def key_of_an_agent() -> str:
    """A new agent with a large budget and a connected provider."""
    from accounts import credentials
    from accounts.models import Organization
    from agents import budgets, keys
    from agents.models import KeyMode

    organization = Organization.objects.create(name="Bench")
    credentials.connect(organization, "openai", "sk-bench", by=None)
    agent = budgets.create_agent(organization, "Bench", daily_limit_pico=10**18, by=None)
    return keys.issue(agent, KeyMode.LIVE, by=None)[1]


def main() -> int:
    """Start servers in a folder of their own, measure, print the table."""
    home = Path(tempfile.mkdtemp(prefix="awx-shredder-bench-"))
    home.chmod(0o711)
    os.environ["SHREDDER_HOME"] = str(home)
    os.environ["DJANGO_SETTINGS_MODULE"] = "shredder.settings"
    import django
    from django.core.management import call_command

    from shredder.embedded.servers import RunningServers

    servers: Any = RunningServers(home, durable=True)
    try:
        django.setup()
        call_command("migrate", verbosity=0)
        from tests.servers import proxy_server

        with provider() as provider_port:
            key = key_of_an_agent()
            base_url = {"SHREDDER_OPENAI_BASE_URL": f"http://127.0.0.1:{provider_port}/v1"}
            with proxy_server(home / "server.log", environment=base_url) as server:
                worker = psutil.Process(server.processes[0].pid)
                worker.cpu_affinity([0])
                os.sched_setaffinity(0, {(os.cpu_count() or 1) - 1})
                port = urlsplit(server.address).port or 0
                through = (port, "/proxy/v1/chat/completions", key)
                direct = (provider_port, "/v1/chat/completions", "sk-bench")
                return 0 if uvloop.run(measure(through, direct, worker)) else 1
    finally:
        servers.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
