"""Runs mpirun in a session of its own, and turns signals into an orderly end.

Ctrl-C in a terminal reaches this process alone. It tells mpirun with SIGUSR1, which mpirun forwards
to every rank, so that the ranks can end the run together and rank 0 can close its file; sent SIGINT
or SIGTERM, mpirun would end them where they stand. Nothing that was started here outlives
`supervise`, even if this process is killed.
"""

import math
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import IO, NamedTuple

from hybridmpi.guard import TERMINATE_LIMIT_S, kill_session, started_guard
from hybridmpi.launcher import CommandLine
from hybridmpi.relay import Relay

STOP_LIMIT_S = 30.0
_ASK_AGAIN_S = 5.0  # MPICH's mpirun loses a signal that comes before its ranks are up
_RELAY_LIMIT_S = 2.0
_POLL_S = 0.05
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending(NamedTuple):
    """How a line ended.

    Attributes:
        exit_code: 128 + the signal's number where a signal asked to stop, else mpirun's own.
        stopped_by: The number of that signal, or None.
        has_told_error: Whether a line on its stderr began with "Error: ", as ours do.
    """

    exit_code: int
    stopped_by: int | None
    has_told_error: bool = False


def supervise_to_end(
    line: CommandLine,
    output: IO[str] | None = None,
    *,
    usr1_stops: bool = False,
    allowed_s: Callable[[int], float] = lambda _: math.inf,
) -> Ending:
    """Run the line to its end.

    The first SIGINT, SIGTERM or SIGHUP asks the ranks to stop; after `STOP_LIMIT_S` seconds, or at
    a further SIGINT, they are ended. SIGUSR1 is only forwarded.

    Args:
        line: An mpirun or srun line.
        output: Where its output and its errors go; by default where ours go.
        usr1_stops: Whether SIGUSR1 asks to stop, as the others do.
        allowed_s: Asked again and again, given the number of its process, for how many more seconds
            it may run.
    """
    with _received_signals() as received, started(line, output) as running:
        stopped_by = _wait(running.process, received, usr1_stops, allowed_s)
    has_told_error = running.relay is not None and running.relay.has_told_error
    if stopped_by is not None:
        return Ending(128 + stopped_by, stopped_by, has_told_error)
    code = running.process.returncode
    return Ending(128 - code if code < 0 else code, None, has_told_error)


class Started(NamedTuple):
    """A line that runs, and what passes on what it says, if it is passed on."""

    process: "subprocess.Popen[str]"
    relay: Relay | None


@contextmanager
def started(line: CommandLine, output: int | IO[str] | None = None) -> Iterator[Started]:
    """Start the line, and end it with all that it started, however the block is left.

    Args:
        line: An mpirun line.
        output: Where its output and its errors go, as in `subprocess`; by default where ours go.
    """
    with started_guard() as guard:
        process = subprocess.Popen(
            line.arguments,
            env={**os.environ, **line.environment},
            stdin=subprocess.DEVNULL,  # another session cannot read from our terminal
            stdout=output,
            stderr=subprocess.STDOUT if isinstance(output, int) else subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        guard.watch(process.pid)
        target = sys.stderr if output is None or isinstance(output, int) else output
        relay = Relay(process.stderr, target) if process.stderr else None
        try:
            yield Started(process, relay)
        finally:
            _end(process)
            if relay:
                relay.join(_RELAY_LIMIT_S)


@contextmanager
def _received_signals() -> Iterator[deque[int]]:
    received: deque[int] = deque()
    previous = {
        number: signal.signal(number, lambda number, _: received.append(number))
        for number in (*_STOPPING, signal.SIGUSR1)
        if signal.getsignal(number) is not signal.SIG_IGN  # as nohup leaves SIGHUP
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _wait(
    process: "subprocess.Popen[str]",
    received: deque[int],
    usr1_stops: bool,
    allowed_s: Callable[[int], float],
) -> int | None:
    """Wait for the end, or until it is to be forced; return the signal that asked to stop.

    That is the first one; but SIGUSR1, after which a run may go on, gives way to any other.
    """
    stopped_by, ask_at, deadline = None, math.inf, math.inf
    while process.poll() is None and (now := time.monotonic()) < deadline:
        if now >= ask_at:
            process.send_signal(signal.SIGUSR1)
            ask_at = now + _ASK_AGAIN_S
        deadline = min(deadline, now + allowed_s(process.pid))
        if not received:
            time.sleep(_POLL_S)
            continue
        number = received.popleft()
        if number == signal.SIGUSR1 and not usr1_stops:
            process.send_signal(signal.SIGUSR1)
        elif stopped_by is None:
            stopped_by, ask_at, deadline = number, now, min(deadline, now + STOP_LIMIT_S)
            _announce_stop(number)
        elif number == signal.SIGINT:  # not SIGTERM: `timeout` sends it twice in a row
            break
        elif stopped_by == signal.SIGUSR1:
            stopped_by = number
    return stopped_by


def _announce_stop(number: int) -> None:
    with suppress(OSError):  # SIGHUP says that the terminal is gone
        print(
            f"{signal.Signals(number).name}: asking the ranks to stop, for at most "
            f"{STOP_LIMIT_S:.0f} s; Ctrl-C ends them at once",
            file=sys.stderr,
        )


def _end(process: "subprocess.Popen[str]") -> None:
    """End mpirun: gently, so that it ends its ranks on all nodes; then all that is left here."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(TERMINATE_LIMIT_S)
    # Open MPI's ranks are in process groups of their own, but in mpirun's session. MPICH's are in
    # other sessions, and their proxy ends them as soon as mpirun is gone.
    kill_session(process.pid)
    process.wait()
