"""Many slow streams through one process, and its SIGTERM: each ends once, none too early, and all is booked."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil

from agents.models import Reservation
from agents.money import PICO_PER_USD
from tests.fakes.servers import ProviderFake, provider_fake
from tests.proxy.closing import close_books
from tests.proxy.stage import Stage, Worker, stage
from tests.proxy.stream_readers import TOLD, WHOLE, Reading
from tests.servers import CHECKOUT

PATH = "/v1/chat/completions"
STAMPING = "tests.fakes.stamping_provider"
WARM_STREAMS = 50
# What a stop may take beyond the time that it leaves to streams: 130 seconds in all for the 120 of the default.
SETTLING_SECONDS_MAX = 10.0
STARTING_SECONDS_MAX = 60.0
BILLED_SECONDS_MAX = 10.0


@dataclass(frozen=True)
class Shape:
    """How many streams, how slow and for how long; all opened within `opening_seconds`.

    direct_seconds: measured without us, for comparison; 0 where time and memory are not judged.
    stop_seconds: how long streams may end by themselves after the order to stop. Half of them do, in the middle of that
    time; the others would go on for longer.
    """

    streams: int
    interval_ms: int
    opening_seconds: float
    direct_seconds: float
    measured_seconds: float
    stop_seconds: int

    def reading(self, address: str, path: str, key: str, measured_seconds: float) -> Reading:
        """What readers are told."""
        until_stop = self.opening_seconds + measured_seconds
        lengths = until_stop + (self.stop_seconds - self.opening_seconds) / 2, until_stop + 3 * self.stop_seconds
        return Reading(
            port=int(address.rsplit(":", 1)[1]), path=path, key=key, streams=self.streams,
            per_second=self.streams / self.opening_seconds,
            event_counts=(_count(lengths[0], self.interval_ms), _count(lengths[1], self.interval_ms)),
            interval_ms=self.interval_ms, measured_seconds=measured_seconds,
            seconds_max=until_stop + self.stop_seconds + SETTLING_SECONDS_MAX + STARTING_SECONDS_MAX,
        )  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """What was seen. direct, through: how late events came, from the provider's hand to the reader's."""

    direct: dict[str, float]
    through: dict[str, float]
    memory_kb_each: float
    open_at_stop: int
    stopped_seconds: float
    ends: dict[str, int]

    @property
    def added_p99_ms(self) -> float:
        """What the way through the proxy adds."""
        return self.through["p99_ms"] - self.direct["p99_ms"]


def streams_end_at_a_stop(folder: Path, shape: Shape) -> Figures:
    """Read streams directly and then through one process, stop it and compare every account."""
    direct = _asked_directly(folder, shape) if shape.direct_seconds else {}
    with _provider(folder / "provider") as fake:
        environment = {
            "SHREDDER_OPENAI_BASE_URL": fake.openai_base_url,
            "SHREDDER_PROXY_SECONDS": f"stop={shape.stop_seconds}",
        }
        with stage(folder, environment=environment) as on:
            return _through(replace(on, fake=fake), shape, direct)


def _asked_directly(folder: Path, shape: Shape) -> dict[str, float]:
    with (
        _provider(folder / "direct") as fake,
        _readers(shape.reading(fake.url, PATH, "-", shape.direct_seconds)) as said,
    ):
        next(said)
        late: dict[str, float] = next(said)
        return late


def _through(on: Stage, shape: Shape, direct: dict[str, float]) -> Figures:
    worker = on.worker("1000")
    warm = _warmed(_reading(on, worker, shape)) if shape.direct_seconds else []
    process = on.server.processes[0]
    memory = psutil.Process(process.pid).memory_full_info
    before = memory().uss
    with _readers(_reading(on, worker, shape)) as said:
        next(said)
        through = next(said)
        memory_kb_each = (memory().uss - before) / shape.streams / 1024
        stopped_at = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(shape.stop_seconds + SETTLING_SECONDS_MAX) == 0
        stopped_seconds = time.monotonic() - stopped_at
        assert not Reservation.objects.exists(), "nothing is left to expire"
        ours = next(said)["streams"]
    _cut_at_the_limit_and_not_before(ours, stopped_at + shape.stop_seconds)
    _each_ended_as_the_book_says(on, worker, warm + ours)
    open_at_stop = sum(one["ended_at"] > stopped_at for one in ours)
    ends = Counter(one["end"] for one in ours)
    return Figures(direct, through, memory_kb_each, open_at_stop, stopped_seconds, dict(ends))


def _warmed(reading: Reading) -> list[dict[str, Any]]:
    """A few short streams before the measured ones; returns how they ended."""
    few = replace(reading, streams=WARM_STREAMS, interval_ms=100, event_counts=(2, 2), measured_seconds=0.1)
    with _readers(few) as said:
        streams: list[dict[str, Any]] = list(said)[-1]["streams"]
        return streams


def _reading(on: Stage, worker: Worker, shape: Shape) -> Reading:
    return shape.reading(on.server.address, f"/proxy{PATH}", worker.key, shape.measured_seconds)


def _each_ended_as_the_book_says(on: Stage, worker: Worker, streams: list[dict[str, Any]]) -> None:
    """One row for each call: the bill where its reader has the whole answer, else the ceiling, which is no less."""
    deadline = time.monotonic() + BILLED_SECONDS_MAX
    while len(on.fake.bill()) < len(streams):
        assert time.monotonic() < deadline, f"{len(on.fake.bill())} of {len(streams)} are billed"
        time.sleep(0.05)
    close_books(on, worker, exact=False)
    rows = worker.calls()
    assert len(rows) == len(streams) == len(on.fake.bill()), "each call ends once"
    billed_pico = {line["request_id"]: int(Decimal(line["cost_usd"]) * PICO_PER_USD) for line in on.fake.bill()}
    by_usage_pico = {row.provider_request_id: row.cost_pico for row in rows if row.basis == "usage"}
    assert by_usage_pico.items() <= billed_pico.items()
    booked = {str(row.call_id): (row.status, row.basis, row.reason) for row in rows}
    expected = {WHOLE: ("settled", "usage", ""), TOLD: ("settled", "worst_case", "stopped")}
    wrong = [one for one in streams if not one["in_order"] or booked[one["call_id"]] != expected.get(one["end"])]
    assert not wrong, wrong[:5]


def _cut_at_the_limit_and_not_before(streams: list[dict[str, Any]], limit_at: float) -> None:
    """Streams that could end in time are whole, down to the last event; the others run until the limit."""
    whole = {one["event_count"] for one in streams if one["end"] == WHOLE}
    cut = [one for one in streams if one["end"] != WHOLE]
    assert len(whole) == 1, whole
    assert len(cut) == len(streams) // 2
    assert min(one["ended_at"] for one in cut) >= limit_at


@contextmanager
def _provider(folder: Path) -> Iterator[ProviderFake]:
    folder.mkdir()
    with provider_fake(folder, module=STAMPING) as fake:
        yield fake


@contextmanager
def _readers(reading: Reading) -> Iterator[Iterator[Any]]:
    """What the readers say, as they say it; those that still read at the end of the block leave."""
    command = [sys.executable, "-m", "tests.proxy.stream_readers", json.dumps(asdict(reading))]
    process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield map(json.loads, process.stdout)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _count(seconds: float, interval_ms: int) -> int:
    return round(seconds * 1000 / interval_ms)
