"""Making one run of an experiment, in this process or under mpirun."""

import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hybridmpi.config import Job
from hybridmpi.config.resolved import resolved
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.launched import start
from hybridmpi.launcher import CommandLine, command_line, matching_mpirun, train_command
from hybridmpi.resources import usable_cores
from hybridmpi.runlog.attributes import read_attributes

_BAD_INPUT = 2  # exit code


@dataclass(frozen=True)
class Ended:
    """How a run ended.

    Attributes:
        status: complete, failed, or stopped.
        seconds: How long it took, loading included.
        reason: Why it failed.
    """

    status: str
    seconds: float
    reason: str = ""


def simulate_run(job: Job, path: Path, stop: Path) -> Ended:
    """Simulate a job; a file at `stop` ends it.

    Raises:
        UserError: If the job's data or model cannot be had.
    """
    if stop.exists():
        return Ended("stopped", 0.0)
    from hybridmpi.engines.simulate.simulate import Simulation

    def interrupted() -> str:
        return "the experiment was stopped" if stop.exists() else ""

    def simulate() -> str:
        return Simulation(job).run(path, force=True, interrupted=interrupted).status

    return _timed(simulate)


def launch_run(job: Job, path: Path, ranks: int) -> Ended:
    """Run a job on ranks of this machine, as `hybridmpi launch` does; signals stop it.

    Raises:
        UserError: If there is no mpirun that fits, or the job's data or model cannot be had.
        RuntimeError: If mpirun ended without a run file of a run that ended.
    """
    with tempfile.TemporaryDirectory() as folder:
        job_file, output = Path(folder) / "job.toml", Path(folder) / "output"
        run = job.run.model_copy(update={"output": str(path.resolve())})
        job_file.write_text(resolved(job.model_copy(update={"run": run})))
        line = command_line(
            matching_mpirun(),
            ranks,
            train_command([str(job_file), "--force"]),
            cores=usable_cores(),
            is_root=os.geteuid() == 0,
            environment=os.environ,
        )
        return _timed(lambda: _launched(line, path, output))


def _launched(line: CommandLine, path: Path, output: Path) -> str:
    with output.open("w") as file:
        code = start(line, path, file).exit_code
    if code == 0:
        return "complete"
    if code - 128 in (signal.SIGINT, signal.SIGTERM):
        signal.raise_signal(code - 128)  # for our own handler, too: there is no next run
        return "stopped"
    said = _error_in(output.read_text(errors="replace"))
    if code == _BAD_INPUT:
        raise UserError(said)
    if _status_of(path) == "failed":
        raise RunFailed(said)
    raise RuntimeError(f"mpirun ended with exit code {code}: {said}")


def _status_of(path: Path) -> str:
    """Return the status of a run file, or "missing"."""
    try:
        return str(read_attributes(path)["status"])
    except UserError:
        return "missing"


def _error_in(text: str) -> str:
    """Return what a rank said of its error, or the end of what all said."""
    _, found, error = text.partition("Error: ")
    return (error if found else text[-2000:]).strip()


def _timed(make: Callable[[], str]) -> Ended:
    began_s = time.monotonic()
    try:
        status, reason = make(), ""
    except RunFailed as failure:
        status, reason = "failed", str(failure)
    return Ended(status, time.monotonic() - began_s, reason)
