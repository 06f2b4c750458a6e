import signal
import subprocess
import sys
from pathlib import Path

from shredder.embedded.processes import command_line, stop, stop_leftover

SLEEP = "import time; time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"


def sleeper(*words: str, code: str = SLEEP) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE)


def test_a_leftover_of_our_folder_is_stopped(tmp_path: Path) -> None:
    process = sleeper(str(tmp_path))
    (tmp_path / "pid").write_text(f"{process.pid}\nmore")
    # Reaped at once, as init does for a process whose supervisor was killed.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        stop_leftover(tmp_path / "pid", tmp_path, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    assert not command_line(process.pid)
    assert not (tmp_path / "pid").exists()


def test_a_stranger_with_the_same_number_is_spared(tmp_path: Path) -> None:
    process = sleeper("elsewhere")
    (tmp_path / "pid").write_text(str(process.pid))
    stop_leftover(tmp_path / "pid", tmp_path, signal.SIGTERM)
    assert process.poll() is None
    stop(process, signal.SIGKILL, 10)


def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    process = sleeper(code=DEAF)
    assert process.stdout is not None
    process.stdout.readline()
    stop(process, signal.SIGTERM, grace_seconds=0.2)
    assert process.returncode == -signal.SIGKILL


def test_rubbish_in_a_pid_file_stops_nobody(tmp_path: Path) -> None:
    for text in ("", "1", "-1", "no number"):
        (tmp_path / "pid").write_text(text)
        stop_leftover(tmp_path / "pid", tmp_path, signal.SIGKILL)
        assert not (tmp_path / "pid").exists()
