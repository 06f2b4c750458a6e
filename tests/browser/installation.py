"""The whole product in processes of its own, as an operator runs it: `up` on a fresh data folder."""

import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

CHECKOUT = Path(__file__).resolve().parents[2]
READY_SECONDS_MAX = 300.0  # a cold start on a busy machine
STOP_SECONDS_MAX = 40.0
MAIL_SECONDS_MAX = 20.0
# The test run's own servers and settings must not leak into the installation.
OWN = ("DATABASE_URL", "REDIS_URL", "SHREDDER_HOME", "SHREDDER_TEST_HOME", "DJANGO_SETTINGS_MODULE", "SITE_URL")


@dataclass(frozen=True)
class Installation:
    """A running installation: its address and its data folder."""

    url: str
    home: Path

    def first_mail(self, to: str) -> str:
        """The text of the first mail to an address, once it is there."""
        deadline = time.monotonic() + MAIL_SECONDS_MAX
        while time.monotonic() < deadline:
            for mail in sorted((self.home / "mail").glob("*.eml"), key=lambda file: file.stat().st_mtime_ns):
                if f"To: {to}\n" in (text := mail.read_text()):
                    return text
            time.sleep(0.1)
        raise AssertionError(f"no mail came to {to}")


@contextmanager
def installation(environment: Mapping[str, str]) -> Iterator[Installation]:
    """Run `up` until the block ends.

    environment: operator's settings, such as SHREDDER_OPENAI_BASE_URL.
    """
    home = Path(tempfile.mkdtemp(prefix="awx-shredder-browser-"))
    home.chmod(0o711)  # PostgreSQL's user must get through when root runs the tests.
    variables = {name: value for name, value in os.environ.items() if name not in OWN}
    variables |= {"SHREDDER_HOME": str(home), **environment}
    process = subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", "0", "--workers", "1"],
        cwd=CHECKOUT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    lines: queue.Queue[str] = queue.Queue()
    Thread(target=_read, args=(process, lines), daemon=True).start()
    try:
        yield Installation(_wait_for_address(lines), home)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS_MAX)
        finally:
            process.kill()
            shutil.rmtree(home, ignore_errors=True)


def _read(process: "subprocess.Popen[str]", lines: "queue.Queue[str]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _wait_for_address(lines: "queue.Queue[str]") -> str:
    said = []
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            continue
        said.append(line)
        if line.startswith("ready "):
            return line.split()[1]
        if not line:
            break
    raise AssertionError("the installation did not start:\n" + "".join(said)[-4000:])
