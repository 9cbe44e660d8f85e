"""A run that mpirun or srun starts: watched until it has ended, and how it ended.

What the run file says counts, not mpirun's exit code: that is the one of any rank, for instance of
a lost worker which the run has survived; Open MPI's can be 0 after a signal.
"""

import math
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from hybridmpi.errors import UserError
from hybridmpi.launcher import CommandLine
from hybridmpi.runlog.attributes import read_attributes
from hybridmpi.runlog.reading.superblock import is_closed
from hybridmpi.supervise import Ending, supervise_to_end

FAILING_LIMIT_S = 10.0  # for all ranks to end, once the run has failed
_LEAVING_LIMIT_S = 60.0  # likewise once it has ended well: workers may be slow to leave
_LOOK_S = 1.0
_BAD_INPUT = 2  # exit code
# Told to survive losses, Open MPI 5.0's mpirun counts a rank that exits with a code other than 0
# twice, so that it ends too early and leaves ranks behind; unless such codes are no errors to it.
_NO_ERRORS = {"PRTE_MCA_state_base_error_non_zero_exit": "0"}
_RANK = ("OMPI_COMM_WORLD_RANK", "PMI_RANK")


def start(
    line: CommandLine,
    run_file: Path,
    output: IO[str] | None = None,
    *,
    usr1_stops: bool = False,
) -> Ending:
    """Run a line that trains to its end; end what is left of it some seconds after the run.

    Args:
        line: An mpirun or srun line.
        run_file: What it writes; one that is there already is another run's.
        output: Where its output and its errors go, and an error that no rank has told; by default
            where ours go.
        usr1_stops: Whether SIGUSR1 asks to stop; see `supervise_to_end`.

    Returns:
        How it ended. The exit code is 0 for a complete run, and one that was stopped by a signal to
        a rank, 128 + the number of a signal to this process that asked to stop, 2 for a mistake of
        the user's, and else 1.
    """
    line = CommandLine({**line.environment, **_NO_ERRORS}, line.arguments)
    course = Course(run_file)
    ending = supervise_to_end(line, output, usr1_stops=usr1_stops, allowed_s=course.allowed_s)
    if ending.stopped_by is not None:
        return ending
    status = course.status()
    code = _exit_code(ending, status)
    if code == 1 and not ending.has_told_error:
        print(f"Error: {course.error()}", file=output or sys.stderr, flush=True)
    return ending._replace(exit_code=code)


def _exit_code(ending: Ending, status: str) -> int:
    if status in ("complete", "stopped"):
        return 0
    # To Open MPI's mpirun no exit code is an error.
    codes = (_BAD_INPUT, 0) if ending.has_told_error else (_BAD_INPUT,)
    return _BAD_INPUT if status == "not begun" and ending.exit_code in codes else 1


class Course:
    """What can be seen of a run from outside."""

    def __init__(self, run_file: Path) -> None:
        """Note what is there before the run begins."""
        self._run_file = run_file
        self._before = _identity(run_file)
        self._server: psutil.Process | None = None
        self._next_look_s = 0.0

    def status(self) -> str:
        """Return what the run file says, or that there is none of this run."""
        if _identity(self._run_file) in (None, self._before):
            return "not begun"
        if not is_closed(self._run_file):
            return "running"
        try:
            return str(read_attributes(self._run_file)["status"])
        except UserError:  # something else has been put in its place
            return "running"

    def error(self) -> str:
        """Return why the run failed."""
        status = self.status()
        if status == "failed":
            return str(read_attributes(self._run_file)["error"])
        if status == "not begun":
            return "the ranks ended before the run began"
        return (
            "the ranks ended before the run did: a rank or a node was lost? What "
            f"'{self._run_file}' holds can be read; continue with --resume, if the job writes "
            "checkpoints"
        )

    def allowed_s(self, mpirun: int) -> float:
        """Return for how much longer the ranks below this process may run, as far as it is known.

        Where they are on other nodes only, the run file alone is looked at.
        """
        if time.monotonic() < self._next_look_s:
            return math.inf
        self._next_look_s = time.monotonic() + _LOOK_S
        if self._server is None:
            self._server = _server_below(mpirun)
        elif not _lives(self._server):
            return FAILING_LIMIT_S
        match self.status():
            case "failed":
                return FAILING_LIMIT_S
            case "complete" | "stopped":
                return _LEAVING_LIMIT_S
        return math.inf


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from one that takes its place, or the place of its inode."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _server_below(mpirun: int) -> psutil.Process | None:
    with suppress(psutil.Error):
        for process in psutil.Process(mpirun).children(recursive=True):
            with suppress(psutil.Error):
                variables = process.environ()
                if "0" in [variables.get(name) for name in _RANK] and "train" in process.cmdline():
                    return process
    return None


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
