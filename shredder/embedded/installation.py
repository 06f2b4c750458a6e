"""The whole installation on one machine: servers, migrations, files, processes, in this order."""

import http.client
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from shredder.embedded.errors import CannotStart
from shredder.embedded.home import CHECKOUT, home_folder, recorded_site, servers_are_embedded, sole_owner
from shredder.embedded.programs import clear_leftover_programs, task_programs, web_programs
from shredder.embedded.servers import prepare_servers
from shredder.embedded.supervisor import Interrupted, Service, Supervisor, say

BACKLOG = 2048
SERVERS_SECONDS_MAX = 90.0  # Recovery of the database after a crash is part of it.
PROGRAMS_SECONDS_MAX = 300.0  # A small machine that is busy otherwise is slow, not broken.
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  (recognised, not bound)


@dataclass(frozen=True, slots=True)
class Plan:
    """What the operator asked for."""

    host: str
    port: int
    workers: int
    once: bool = False


def run(plan: Plan) -> None:
    """Start everything, say so, and stay until a signal; raises CannotStart with one sentence."""
    home = home_folder()
    supervisor = Supervisor()
    supervisor.listen_to_signals()
    with ExitStack() as cleanup:
        cleanup.enter_context(sole_owner(home))
        (home / "run").mkdir(mode=0o700, exist_ok=True)
        clear_leftover_programs(home)
        listener = cleanup.enter_context(_listen(plan.host, plan.port))
        cleanup.callback(_stop, supervisor)
        try:
            _start(plan, home, supervisor, listener, cleanup)
            if not plan.once:
                supervisor.run()
        except Interrupted:
            return


def _start(plan: Plan, home: Path, supervisor: Supervisor, listener: socket.socket, cleanup: ExitStack) -> None:
    say("up", f"data in {home}")
    if not os.environ.get("EMAIL_URL"):
        say("up", f"mail lands in {home / 'mail'}")
    if servers_are_embedded():
        say("up", "starting PostgreSQL and Valkey")
        postgres, valkey = prepare_servers(home)
        supervisor.start([[postgres], [valkey]], seconds_max=SERVERS_SECONDS_MAX)
    port = listener.getsockname()[1]
    _announce_address(plan.host, port)
    _record_address(home, cleanup)
    manage = [sys.executable, str(CHECKOUT / "manage.py")]
    say("up", "bringing the database up to date")
    supervisor.run_once("migrate", [*manage, "migrate", "--no-input", "--verbosity", "0"])
    supervisor.run_once("static", [*manage, "collectstatic", "--no-input", "--verbosity", "0"])
    _empty(home / "run" / "metrics")
    say("up", f"starting {plan.workers} web, worker, timetable")
    worker, beat = task_programs(home)
    groups: list[Sequence[Service]] = [[beat], [worker], web_programs(home, listener, plan.workers)]
    supervisor.start(groups, seconds_max=PROGRAMS_SECONDS_MAX)
    _wait_until_calls_can_be_served(listener)
    print(f"ready http://{_bracketed(plan.host)}:{port}", flush=True)  # noqa: T201


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    """The one socket from which all web processes accept; made first, because a taken port is the likeliest fault."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CannotStart(f"cannot listen on {host} port {port}: {reason.lower()} (see --host and --port)") from None
    with listener:
        yield listener


def _stop(supervisor: Supervisor) -> None:
    if supervisor.signals:
        say("up", "stopping; calls in flight may take two minutes to end (once more: five seconds)")
    supervisor.stop()


def _announce_address(host: str, port: int) -> None:
    """Tell our processes the address that people use, unless the operator has."""
    if not os.environ.get("SITE_URL"):
        visible = "127.0.0.1" if host in WILDCARDS else _bracketed(host)
        os.environ["SITE_URL"] = f"http://{visible}:{port}"
        if host in WILDCARDS:
            # Reached under names that we cannot know; a production address would be in SITE_URL.
            os.environ.setdefault("SHREDDER_ALLOWED_HOSTS", "*")


def _record_address(home: Path, cleanup: ExitStack) -> None:
    """Tell commands of other terminals, too: at once, since they find the database before the pages answer."""
    site = recorded_site(home)
    cleanup.callback(site.unlink, missing_ok=True)
    site.write_text(os.environ["SITE_URL"])


def _wait_until_calls_can_be_served(listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    visible = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    deadline = time.monotonic() + PROGRAMS_SECONDS_MAX
    answer = "no answer"
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(visible, port, timeout=10)
        try:
            connection.request("GET", "/readyz")
            response = connection.getresponse()
            answer = f"{response.status} {response.read(500).decode(errors='replace').strip()}"
            if response.status == http.client.OK:
                return
        except OSError as error:
            answer = str(error)
        finally:
            connection.close()
        time.sleep(0.2)
    raise CannotStart(f"/readyz does not get ready: {answer}")


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
