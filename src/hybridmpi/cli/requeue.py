"""What becomes of a Slurm job when its ranks have ended: done, back into the queue, or failed."""

import signal
from typing import TYPE_CHECKING, NamedTuple

import click

from hybridmpi.cli.go_on import (
    failure_of,
    has_lost_workers,
    is_complete,
    newest_version,
    status_of,
)
from hybridmpi.cli.job_options import Task
from hybridmpi.slurm.queue import Allocation, requeue
from hybridmpi.supervise import Ending

if TYPE_CHECKING:
    from pathlib import Path

    from hybridmpi.config import Job


class Begun(NamedTuple):
    """A run as it was when its ranks were started.

    Attributes:
        job: What is run.
        output: Its run file.
        version: Where it goes on from; -1 if it begins.
    """

    job: "Job"
    output: "Path"
    version: int


def begun(asked: Task) -> Begun:
    """Return what there is to know of a run later; not its whole checkpoint."""
    version = -1 if asked.resume is None else newest_version(asked.output)
    return Begun(asked.job, asked.output, version)


def conclude(run: Begun, ending: Ending, allocation: Allocation) -> int:
    """Put the job back into the queue if its run can go on; return the job's exit code.

    The run file says what is done, not mpirun's exit code: Open MPI's can be 0 after a signal.
    """
    if is_complete(run.job, run.output):
        click.echo(f"'{run.output}' is complete", err=True)
        return 0
    status = status_of(run.output)
    is_further = newest_version(run.output) > run.version
    stand = f"'{run.output}' is {status}, not complete"
    is_loss = status == "failed" and has_lost_workers(run.output)
    if can_go_on("without workers" if is_loss else status, ending, is_further=is_further):
        click.echo(f"{stand}: job {allocation.job_id} goes back into the queue", err=True)
        requeue(allocation)
        return 0
    click.echo(f"Error: {stand}: {_why(run, status, ending)}", err=True)
    return ending.exit_code or 1


def _why(run: Begun, status: str, ending: Ending) -> str:
    """Say why the job ends here, and what comes next."""
    if status == "failed":
        return f"{failure_of(run.output)}. Once that is mended, submit the job again to go on"
    if ending.stopped_by not in (None, signal.SIGUSR1):
        name = signal.Signals(ending.stopped_by).name
        return f"{name} ended the job; submit it again to go on"
    if status == "not begun" and ending.stopped_by is None:
        return (
            f"its ranks ended with exit code {ending.exit_code} before the run began; what they "
            "said is above"
        )
    nothing_new = (
        "no checkpoint was written since the job started: give it more time, or make "
        "checkpoint.every_s smaller"
    )
    if ending.stopped_by is None:
        return f"the ranks ended with exit code {ending.exit_code}, and {nothing_new}"
    return nothing_new


def can_go_on(status: str, ending: Ending, *, is_further: bool) -> bool:
    """Say whether a run whose ranks have ended early is to be started again.

    So it is if it was stopped for want of time (SIGUSR1), or if its ranks were killed: a lost node,
    or so many workers that it failed.
    Not if it failed, nor if somebody ended the job; nor if it got nowhere, which would repeat
    itself for ever.

    Args:
        status: What the run file says, or that it failed for want of workers.
        ending: How the ranks ended.
        is_further: Whether there is a newer checkpoint than at the start.
    """
    is_wanted = ending.stopped_by in (None, signal.SIGUSR1)
    return is_wanted and is_further and status in ("running", "stopped", "without workers")
