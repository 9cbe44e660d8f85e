"""`hybridmpi slurm`: the script of a batch job."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from hybridmpi.cli.job_options import settings_option
from hybridmpi.cli.paths import ExpandedPath
from hybridmpi.errors import UserError
from hybridmpi.slurm.script import Launcher, Request, batch_script


@click.command()
@click.argument("job", type=ExpandedPath(), metavar="[JOB.toml]", required=False)
@click.option("--nodes", type=int, default=1, show_default=True, help="Number of nodes.")
@click.option(
    "-n", "--ranks", type=int, required=True, help="Ranks on all nodes: 1 server + workers."
)
@click.option(
    "--time",
    required=True,
    metavar="LIMIT",
    help="Time limit of the job, at least 5 minutes: minutes, hours:minutes:seconds or "
    "days-hours:minutes:seconds. A run that needs more goes on in the same job, requeued.",
)
@click.option(
    "--launcher",
    type=click.Choice(["srun", "mpirun"]),
    default="srun",
    show_default=True,
    help="What starts the ranks in the job: srun, with PMIx for Open MPI and PMI2 for MPICH, or "
    "the mpirun of either.",
)
@click.option(
    "--array",
    metavar="NUMBERS",
    help="A job array: a run for each of these seeds, or, where JOB.toml is a folder, for each of "
    "its jobs with these numbers: 0-9, 1,3,5, or 0-99%4 for four at a time.  [default: no array, "
    "but all jobs of a folder]",
)
@click.option(
    "--sbatch",
    "options",
    multiple=True,
    metavar="OPTION",
    help="A further option of sbatch, without dashes, e.g. --sbatch partition=gpu. Can be given "
    "many times.",
)
@settings_option
@click.option("--submit", is_flag=True, help="Submit the script instead of printing it.")
def slurm(
    job: Path | None,
    nodes: int,
    ranks: int,
    time: str,
    launcher: Launcher,
    array: str | None,
    options: tuple[str, ...],
    settings: tuple[str, ...],
    submit: bool,
) -> None:
    """Print a batch script for Slurm, or submit it.

    Shortly before the time limit the run is stopped in order, and the job put back into the queue;
    it goes on from its newest checkpoint, as after a lost node. So JOB.toml needs [checkpoint].
    Without a JOB.toml the script takes it, and options of `hybridmpi train`, as arguments. The
    folder of jobs that `hybridmpi compare --write-jobs` has written can take its place.

    Example: hybridmpi slurm jobs/mnist.toml --set checkpoint.every_s=60 --nodes 2 --ranks 26 --time
    1:00:00 --submit
    """
    if array is None and job is not None and job.is_dir():
        array = _all_of(job)
    request = Request(nodes, ranks, time, array, options)
    if job is None:
        if submit or settings:
            raise UserError("--submit and --set need a JOB.toml; name one in front of them")
        click.echo(batch_script(request, launcher=launcher), nl=False)
        return
    _check(job, settings, request)
    script = batch_script(
        request,
        name=job.stem,
        program=[sys.executable, "-P", "-m", "hybridmpi"],
        launcher=launcher,
        train_args=[str(job), *(word for setting in settings for word in ("--set", setting))],
    )
    if not submit:
        click.echo(script, nl=False)
        return
    from hybridmpi.slurm.queue import submit as put_into_queue

    click.echo(f"Submitted batch job {put_into_queue(script)}")


def _all_of(folder: Path) -> str:
    """Return the numbers of all jobs of a folder."""
    numbers = sorted(int(path.stem) for path in folder.glob("*.toml") if path.stem.isdecimal())
    if numbers != list(range(len(numbers))) or not numbers:
        raise UserError(
            f"'{folder}' does not hold the jobs 0.toml, 1.toml, ...; name a job file, or a folder "
            "that `hybridmpi compare --write-jobs` has filled"
        )
    return f"0-{numbers[-1]}"


def _check(job: Path, settings: Sequence[str], request: Request) -> None:
    """Have mistakes in jobs told now, not when they start."""
    from hybridmpi.cli.go_on import job_with_checkpoints
    from hybridmpi.engines.job_check import check_job

    if job.is_dir():
        _check_ranks(job, request.ranks)
    for path in sorted(job.glob("*.toml")) if job.is_dir() else [job]:
        checked = job_with_checkpoints(path, settings, elsewhere=True)
        check_job(checked)
    if job.is_dir():
        return
    output = checked.run.output
    if request.array is not None and "{seed}" not in output:
        raise UserError(
            f"run.output is '{output}', the same file for all seeds; put {{seed}} into it"
        )


def _check_ranks(folder: Path, ranks: int) -> None:
    from hybridmpi.experiments.job_files import ranks_of

    asked = ranks_of(folder)
    if asked is not None and ranks != asked:
        raise UserError(
            f"--ranks is {ranks}, but the experiment's runs are of {asked} ranks; give --ranks "
            f"{asked}"
        )
