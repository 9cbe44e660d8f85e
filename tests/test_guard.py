"""A supervisor that is killed: what it has started gets one SIGTERM, and is killed if it stays."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

LIMIT_S = 60.0
SUPERVISOR = """
import contextlib, sys, threading, time
from hybridmpi import supervise
from hybridmpi.launcher import CommandLine

line = CommandLine({}, (sys.executable, "-c", *sys.argv[1:]))
kept = contextlib.ExitStack()
thread = threading.Thread(target=lambda: kept.enter_context(supervise.started(line)))
thread.start()
thread.join()  # the thread that has started the line ends before the process
time.sleep(60)
"""
COUNTING = """
import os, signal, sys

terminate = {signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, terminate)
with open(sys.argv[1] + ".ready", "w") as file:
    file.write(str(os.getpid()))
count, wait_s = 0, 60
while signal.sigtimedwait(terminate, wait_s):
    count, wait_s = count + 1, 0.5  # for a further signal, which must not come
with open(sys.argv[1], "w") as file:
    file.write(str(count))
"""
STAYING = """
import os, signal, sys, time

signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(sys.argv[1] + ".ready", "w") as file:
    file.write(str(os.getpid()))
time.sleep(60)
"""


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def kill_supervisor_of(code: str, said: Path) -> int:
    """Start code that writes its PID to SAID.ready, and kill its supervisor; return the PID."""
    ready = Path(f"{said}.ready")
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR, code, str(said)]) as supervisor:
        wait_for(lambda: ready.exists() and bool(ready.read_text()))
        time.sleep(0.5)  # for a signal that comes too early
        supervisor.kill()
    return int(ready.read_text())


def test_one_signal_comes_once_the_whole_process_is_killed(tmp_path: Path) -> None:
    pid = kill_supervisor_of(COUNTING, tmp_path / "said")
    wait_for(lambda: is_gone(pid))
    assert (tmp_path / "said").read_text() == "1"


def test_what_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    pid = kill_supervisor_of(STAYING, tmp_path / "said")
    wait_for(lambda: is_gone(pid))
