"""The arguments that name a job, or a checkpoint to go on from: shared by the commands."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from hybridmpi.cli.paths import ExpandedPath

if TYPE_CHECKING:
    from hybridmpi.checkpoints.file import State
    from hybridmpi.config import Job

job_argument = click.argument("job", type=ExpandedPath(), metavar="JOB.toml")

job_or_resume_argument = click.argument(
    "job", type=ExpandedPath(), metavar="[JOB.toml]", required=False
)

settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Replace a field of the job, e.g. --set run.seed=3; an empty value takes it out. Can be "
    "given many times; `hybridmpi config JOB.toml` lists the fields.",
)

resume_option = click.option(
    "--resume",
    type=ExpandedPath(),
    metavar="CHECKPOINT",
    help="Go on from a checkpoint instead of a JOB.toml: a file, or a folder, whose newest counts. "
    "The run file beside that folder is replaced by one that begins with what it held then.",
)


class Task(NamedTuple):
    """What is to be run: a job from its beginning, or from a checkpoint on."""

    job: "Job"
    output: Path
    resume: "State | None" = None


def task(job: Path | None, settings: Sequence[str], resume: Path | None, engine: str) -> Task:
    """Return what to run.

    Args:
        job: The job file, if one is named.
        settings: What replaces its fields.
        resume: The checkpoint, or a folder of them, if one is named.
        engine: The engine that is to go on: `mpi` or `simulate`.

    Raises:
        UsageError: If both a job and a checkpoint are named, or neither.
        UserError: If what is named cannot be run.
    """
    from hybridmpi.config import load_job

    if (job is None) == (resume is None):
        raise click.UsageError("Give a JOB.toml, or --resume CHECKPOINT, whose job goes on.")
    if job is not None:
        loaded = load_job(job, settings)
        return Task(loaded, loaded.output(job.stem))
    assert resume is not None
    return _from_checkpoint(resume, settings, engine)


def _from_checkpoint(resume: Path, settings: Sequence[str], engine: str) -> Task:
    from hybridmpi.checkpoints.file import newest, run_file_of
    from hybridmpi.config.fields import open_to_resumed_runs
    from hybridmpi.config.load import change_job
    from hybridmpi.errors import UserError

    allowed = open_to_resumed_runs() - {"run.output"}  # the run file lies beside the checkpoints
    for setting in settings:
        name = setting.partition("=")[0].strip()
        if name not in allowed:
            raise UserError(
                f"--set {setting}: {name} cannot change when a run goes on; what can is "
                + ", ".join(sorted(allowed))
            )
    path = newest(resume)
    state = state_of(path, engine)
    job = change_job(state.facts.get("job", {}), settings, str(path))
    return Task(job, run_file_of(path), state)


def state_of(path: Path, engine: str) -> "State":
    """Read a checkpoint that this engine wrote, and can go on from.

    Raises:
        UserError: If it cannot.
    """
    from hybridmpi.checkpoints.file import read_state
    from hybridmpi.errors import UserError

    state = read_state(path)
    written_by = state.facts.get("engine")
    if written_by != engine:
        command = {"mpi": "train", "simulate": "simulate"}.get(str(written_by), "another version")
        raise UserError(f"'{path}' was written by `hybridmpi {command}`; resume it with that")
    return state
