"""Children of the supervisor: stopping them, and those that outlived a killed one."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

POLL_SECONDS = 0.02


def stop(process: subprocess.Popen[bytes], stop_signal: int, grace_seconds: float) -> None:
    """Ask a child to end, wait, then kill its whole group; needs a child started in its own session."""
    if process.poll() is None:
        process.send_signal(stop_signal)
    try:
        process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        kill_group(process.pid)
        process.wait()


def kill_group(group: int) -> None:
    """Kill what is left of a process group, if anything."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def stop_leftover(pid_file: Path, folder: Path, stop_signal: int, grace_seconds: float = 20) -> None:
    """Stop the process that `pid_file` names, if it still runs and its command line names our folder.

    The check on the command line keeps us from stopping a stranger that got the old number.
    """
    pid = _pid_in(pid_file)
    if pid is None or str(folder) not in command_line(pid):
        pid_file.unlink(missing_ok=True)
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, stop_signal)
    deadline = time.monotonic() + grace_seconds
    while command_line(pid) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    kill_group(pid)
    pid_file.unlink(missing_ok=True)


def command_line(pid: int) -> str:
    """A running process's command line; empty when it has ended."""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    answer = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return answer.stdout.strip()


def _pid_in(pid_file: Path) -> int | None:
    try:
        pid = int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if pid > 1 else None
