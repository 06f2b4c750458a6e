"""Keeps processes running, passes their logs on, and stops them in order."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import IO, Protocol

from shredder.embedded.errors import CannotStart
from shredder.embedded.processes import kill_group, stop

TICK_SECONDS = 0.05
BACKOFF_SECONDS, BACKOFF_SECONDS_MAX = 0.5, 30.0
HEALTHY_SECONDS = 30.0  # A process that ran this long starts again without a wait.
START_ATTEMPTS_MAX = 3
IMPATIENT_SECONDS = 5.0  # What is left of a wait after a second signal.


class Service(Protocol):
    """What can be kept running: a server or one of our programs."""

    @property
    def name(self) -> str: ...
    @property
    def stop_signal(self) -> int: ...
    @property
    def grace_seconds(self) -> float: ...
    @property
    def chatter(self) -> re.Pattern[str] | None: ...
    def spawn(self, output: int | IO[bytes] | None) -> subprocess.Popen[bytes]: ...
    def is_ready(self, process: subprocess.Popen[bytes]) -> bool: ...


class Interrupted(Exception):
    """Somebody asked us to stop before we had started."""


class Runner:
    """One service, started again whenever it ends."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.failures = 0
        self.started_at = 0.0
        self.restart_at: float | None = None
        self.process = self._start()

    def tick(self) -> None:
        """Notice an end; start again when its wait is over."""
        now = time.monotonic()
        if self.restart_at is None and self.process.poll() is not None:
            kill_group(self.process.pid)  # Children of the dead one would hold its port or its files.
            self.failures = 1 if now - self.started_at > HEALTHY_SECONDS else self.failures + 1
            wait_seconds = min(BACKOFF_SECONDS * 2 ** (self.failures - 1), BACKOFF_SECONDS_MAX)
            say(self.service.name, f"ended with code {self.process.returncode}; again in {wait_seconds:g} s")
            self.restart_at = now + wait_seconds
        if self.restart_at is not None and now >= self.restart_at:
            self.process = self._start()

    def is_ready(self) -> bool:
        return self.restart_at is None and self.service.is_ready(self.process)

    def ask_to_stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(self.service.stop_signal)

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def make_sure(self, grace_seconds: float) -> None:
        """Wait for the end, then kill; returns when nothing is left."""
        stop(self.process, self.service.stop_signal, grace_seconds)
        kill_group(self.process.pid)

    def _start(self) -> subprocess.Popen[bytes]:
        self.started_at, self.restart_at = time.monotonic(), None
        process = self.service.spawn(subprocess.PIPE)
        arguments = (self.service.name, process.stdout, self.service.chatter)
        threading.Thread(target=_pass_on, args=arguments, daemon=True).start()
        return process


class Supervisor:
    """All services, in the order in which they were started."""

    def __init__(self) -> None:
        self.signals = 0
        self._groups: list[list[Runner]] = []

    def listen_to_signals(self) -> None:
        """Stop in order on the first signal; the second one cuts the waits short."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._count)

    def start(self, groups: Sequence[Sequence[Service]], *, seconds_max: float) -> None:
        """Start groups together and wait until each service is ready; the last group will be stopped first."""
        started: list[Runner] = []
        for services in groups:
            self._groups.append([])
            for service in services:
                started.append(Runner(service))
                self._groups[-1].append(started[-1])
        deadline = time.monotonic() + seconds_max
        while waiting := [runner for runner in started if not runner.is_ready()]:
            self._tick_or_stop()
            for runner in waiting:
                if runner.failures >= START_ATTEMPTS_MAX:
                    raise CannotStart(f"{runner.service.name} ends as soon as it starts; its log above says why")
            if time.monotonic() > deadline:
                raise CannotStart(f"{waiting[0].service.name} was not ready after {seconds_max:g} seconds")

    def run_once(self, name: str, arguments: Sequence[str]) -> None:
        """Run a command to its end; anything but success is a reason not to start."""
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            last = _pass_on(name, process.stdout)
            if process.wait():
                raise CannotStart(f"{name} failed with code {process.returncode}: {last}")
            self._tick_or_stop()
        finally:
            kill_group(process.pid)

    def run(self) -> None:
        """Keep everything running until a signal comes."""
        while not self.signals:
            self._tick_all()

    def stop(self) -> None:
        """Stop group by group; what the others still need is kept running meanwhile."""
        signals_before = self.signals
        while self._groups:
            group = self._groups.pop()
            for runner in group:
                runner.ask_to_stop()
            deadline = time.monotonic() + max((runner.service.grace_seconds for runner in group), default=0)
            while not all(runner.has_ended() for runner in group) and time.monotonic() < deadline:
                if self.signals > signals_before:
                    deadline = min(deadline, time.monotonic() + IMPATIENT_SECONDS)
                self._tick_all()
            for runner in group:
                runner.make_sure(grace_seconds=0.1)

    def _tick_or_stop(self) -> None:
        self._tick_all()
        if self.signals:
            raise Interrupted

    def _tick_all(self) -> None:
        for group in self._groups:
            for runner in group:
                runner.tick()
        time.sleep(TICK_SECONDS)

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.signals += 1


def say(name: str, text: str) -> None:
    """One line on the console, marked with who says it."""
    try:
        sys.stdout.write(f"{name:<8} | {text}\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        pass  # The console went away; the services need not.


def _pass_on(name: str, output: IO[bytes] | None, chatter: re.Pattern[str] | None = None) -> str:
    """Repeat what a process says, except what it says at each start and stop; returns its last line."""
    last = ""
    assert output is not None
    with output as lines:
        for line in lines:
            if text := line.decode(errors="replace").rstrip():
                last = text
                if chatter is None or not chatter.search(text):
                    say(name, text)
    return last
