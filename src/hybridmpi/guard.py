"""Ends a session: also as a program of its own, once the process that supervised it is killed.

Linux can signal a process when its parent dies (PR_SET_PDEATHSIG), but does so for every thread of
the parent that ends. At a second SIGTERM Open MPI's mpirun exits at once and leaves its ranks
behind.

The program needs Python's standard library only, so that it starts in some 20 ms.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TERMINATE_LIMIT_S = 10.0  # for mpirun to end its ranks, which takes it two seconds
_POLL_S = 0.05


class Guard:
    """The program, while it runs."""

    def __init__(self, program: "subprocess.Popen[str]") -> None:
        self._program = program

    def watch(self, leader: int) -> None:
        """Have the session of this process ended when ours is killed."""
        assert self._program.stdin is not None
        with suppress(BrokenPipeError):  # somebody has killed the program
            self._program.stdin.write(f"{leader}\n")
            self._program.stdin.flush()


@contextmanager
def started_guard() -> Iterator[Guard]:
    """Start the program, and end it when the block is left."""
    program = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__],
        stdin=subprocess.PIPE,  # nobody else has its other end, which is closed when we are killed
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        yield Guard(program)
    finally:
        program.kill()
        program.communicate()


def kill_session(leader: int) -> None:
    """Kill every process of a session on this machine."""
    for pid in _pids(leader):
        with suppress(ProcessLookupError, PermissionError):
            if os.getsid(pid) == leader:
                os.kill(pid, signal.SIGKILL)


def _pids(leader: int) -> list[int]:
    if not os.path.isdir("/proc"):
        return [leader]
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _end_session(leader: int) -> None:
    """End the leader gently, so that it can end others; then kill what is left."""
    deadline_s = time.monotonic() + TERMINATE_LIMIT_S
    with suppress(ProcessLookupError, PermissionError):
        if os.getsid(leader) == leader:
            os.kill(leader, signal.SIGTERM)
        while os.getsid(leader) == leader and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
    kill_session(leader)


def _main() -> None:
    leader = sys.stdin.readline()
    sys.stdin.read()  # until the supervisor has ended
    if leader:
        _end_session(int(leader))


if __name__ == "__main__":
    _main()
