"""A job's run: begun, or gone on with, whichever is due; for schedulers that start a job again."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hybridmpi.cli.job_options import Task, state_of, task
from hybridmpi.errors import UserError

if TYPE_CHECKING:
    from hybridmpi.config import Job

_SHOWN = 3


def asked_task(
    job: Path | None, settings: Sequence[str], resume: Path | None, *, go_on: bool
) -> Task | None:
    """Return what the options of `hybridmpi train` ask for; None if nothing is left to be done.

    Raises:
        UsageError: If they don't go together.
        UserError: If what is named cannot be run.
    """
    if not go_on:
        return task(job, settings, resume, "mpi")
    if job is None or resume is not None:
        raise UserError("--go-on finds the checkpoint by itself: give it the JOB.toml, no --resume")
    return begin_or_go_on(job, settings)


def begin_or_go_on(path: Path, settings: Sequence[str]) -> Task | None:
    """Return how a job's run begins, or goes on from its newest checkpoint; None if it is complete.

    A run file without a checkpoint is left to the one who runs the task: it may be replaced, or
    not.

    Raises:
        UserError: If the job has no checkpoints, or the run file that is there is another job's.
    """
    from hybridmpi.checkpoints.file import checkpoints_in, folder_of

    job = job_with_checkpoints(path, settings)
    output = job.output(path.stem)
    if not output.exists():
        return Task(job, output)
    status, then = _read(output)
    _check_same(job, then, output)
    if status == "complete" and _ends_alike(job, then):
        return None
    found = checkpoints_in(folder_of(output))
    return Task(job, output, state_of(found[-1], "mpi") if found else None)


def job_with_checkpoints(path: Path, settings: Sequence[str], *, elsewhere: bool = False) -> "Job":
    """Read a job that can go on after it was stopped; see `load_job`.

    Raises:
        UserError: If it cannot, or is wrong.
    """
    from hybridmpi.config import load_job

    job = load_job(path, settings, elsewhere=elsewhere)
    if job.checkpoint.every_s is None and job.checkpoint.every_steps is None:
        raise UserError(
            f"{path} asks for no checkpoints, without which a run cannot go on where it was "
            "stopped; give it [checkpoint] every_s = 60, or --set checkpoint.every_s=60"
        )
    return job


def is_complete(job: "Job", output: Path) -> bool:
    """Say whether a run file is there, and holds all that the job asks for."""
    if not output.exists():
        return False
    status, then = _read(output)
    return status == "complete" and _ends_alike(job, then)


def status_of(output: Path) -> str:
    """Return the status that a run file says of itself, or that there is none."""
    return _read(output)[0] if output.exists() else "not begun"


def failure_of(output: Path) -> str:
    """Return in one line why a run failed, in its file's words."""
    from hybridmpi.runlog.attributes import read_attributes

    lines = str(read_attributes(output).get("error", "")).strip().splitlines()
    if len(lines) < 2:
        return lines[0] if lines else "no reason is recorded"
    return f"{lines[0]} {lines[-1].strip()}"  # whose it is, and below a traceback what was raised


def has_lost_workers(output: Path) -> bool:
    """Say whether the last that befell a run, but for a checkpoint, is the loss of a worker."""
    from hybridmpi.runlog.reader import read_run

    kinds = read_run(output).events.kind
    return [kind for kind in kinds if kind != "checkpoint"][-1:] == ["lost"]


def newest_version(output: Path) -> int:
    """Return the version of a run's newest checkpoint; -1 if there is none."""
    from hybridmpi.checkpoints.file import checkpoints_in, folder_of

    found = checkpoints_in(folder_of(output))
    return int(found[-1].stem) if found else -1


def _read(output: Path) -> tuple[str, "Job"]:
    from hybridmpi.config.load import change_job
    from hybridmpi.runlog.attributes import read_attributes

    said = read_attributes(output)
    return said["status"], change_job(said.table("config"), (), str(output))


def _ends_alike(job: "Job", other: "Job") -> bool:
    from hybridmpi.config.changes import Changes
    from hybridmpi.config.fields import changes_of, differing_fields

    return all(changes_of(name) != Changes.END for name, *_ in differing_fields(job, other))


def _check_same(job: "Job", begun: "Job", output: Path) -> None:
    from hybridmpi.config.fields import changes_of, differing_fields

    other = [
        f"{name} was {then!r} and is {now!r}"
        for name, now, then in differing_fields(job, begun)
        if changes_of(name).makes_another_run("mpi")
    ]
    if other:
        raise UserError(
            f"'{output}' is another job's run: {'; '.join(other[:_SHOWN])}; give this one another "
            "run.output, or move that file away"
        )
