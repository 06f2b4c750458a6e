"""What the proxy's benchmarks measure: one worker on one core; provider, clients and databases on the others.

Beside it a proxy that only forwards, on the same core: what the machine, the server and the client cost by themselves.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import uvloop

from tests.bench.client import Target
from tests.bench.figures import additions_per_second
from tests.bench.own_servers import own_servers

PATH = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Stage:
    """Whom to ask, and the processes whose time counts. refused: the same worker, for a key without any budget left."""

    through: Target
    refused: Target
    plain: Target
    direct: Target
    worker: psutil.Process
    forwarder: psutil.Process


def cpu_seconds(process: psutil.Process) -> float:
    """Processor time of a process so far."""
    return sum(process.cpu_times()[:2])


def run(measure: Callable[[Stage], Coroutine[None, None, bool]]) -> int:
    """Start everything, measure, stop; the exit status."""
    with own_servers(durable=True) as home:
        speed = additions_per_second()
        with _stage(home) as stage:
            held = uvloop.run(measure(stage))
        print(f"A core did {speed:.0f} million additions a second; the plain forwarder is uvicorn and aiohttp alone.")
        return 0 if held else 1


@contextmanager
def _stage(home: Path) -> Iterator[Stage]:
    from tests.servers import proxy_server

    with _provider() as provider, _forwarder(provider) as (plain, forwarder):
        keys = [key_of_an_agent(10**18), key_of_an_agent(0)]
        base_url = {"SHREDDER_OPENAI_BASE_URL": f"http://127.0.0.1:{provider}/v1"}
        with proxy_server(home / "server.log", environment=base_url) as server:
            worker = psutil.Process(server.processes[0].pid)
            _spread(worker, forwarder)
            port = urlsplit(server.address).port or 0
            through, refused = (Target(port, "/proxy" + PATH, key) for key in keys)
            yield Stage(through, refused, Target(plain, PATH, "-"), Target(provider, PATH, "-"), worker, forwarder)


def _spread(*measured: psutil.Process) -> None:
    """The measured processes on the first core, everything else of ours on the others."""
    others = list(range(1, os.cpu_count() or 1)) or [0]
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.cpu_affinity([0] if process in measured else others)
    os.sched_setaffinity(0, others)


@contextmanager
def _provider() -> Iterator[int]:
    command = [sys.executable, "-m", "tests.bench.provider"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextmanager
def _forwarder(provider: int) -> Iterator[tuple[int, psutil.Process]]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        command = [sys.executable, "-m", "tests.bench.plain_forwarder", str(listener.fileno())]
        environment = {**os.environ, "PROVIDER": f"http://127.0.0.1:{provider}"}
        process = subprocess.Popen(command, env=environment, pass_fds=[listener.fileno()])
        try:
            yield listener.getsockname()[1], psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait()


def key_of_an_agent(daily_limit_pico: int) -> str:
    """A new organisation's agent with this budget and a connected provider."""
    from accounts import credentials
    from accounts.models import Organization
    from agents import budgets, keys
    from agents.models import KeyMode

    organization = Organization.objects.create(name="Bench")
    credentials.connect(organization, "openai", "sk-bench", by=None)
    agent = budgets.create_agent(organization, "Bench", daily_limit_pico=daily_limit_pico, by=None)
    return keys.issue(agent, KeyMode.LIVE, by=None)[1]
