"""`hybridmpi train`: the command that each rank runs under mpirun."""

import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import click

from hybridmpi.cli.go_on import asked_task
from hybridmpi.cli.job_options import job_or_resume_argument, resume_option, settings_option
from hybridmpi.cli.quick_imports import quick_imports
from hybridmpi.errors import RunFailed, UserError
from hybridmpi.started import is_first, wait_for_the_first


@click.command()
@job_or_resume_argument
@settings_option
@resume_option
@click.option(
    "--go-on",
    is_flag=True,
    help="Begin the job's run, or go on with it from its newest checkpoint if it has begun; do "
    "nothing if it is complete.",
)
@click.option("--force", is_flag=True, help="Replace the run file if it is there already.")
@click.option("--live", is_flag=True, help="Show a live panel instead of a line every 5 s.")
def train(
    job: Path | None,
    settings: tuple[str, ...],
    resume: Path | None,
    go_on: bool,
    force: bool,
    live: bool,
) -> None:
    """Train under mpirun: rank 0 is the parameter server, all other ranks are workers.

    On one machine `hybridmpi launch` finds mpirun and its flags. With [checkpoint] in the job, a
    run that was killed or stopped goes on with --resume CHECKPOINT instead of JOB.toml, or with the
    same command where that has --go-on.

    Example: mpirun -n 26 hybridmpi train jobs/cifar10.toml --set method.preset=async

    Ends with exit code 0 after a complete run and one that was stopped by a signal, 1 after a
    failed one, 2 for a mistake in the job.
    """
    os.environ.setdefault("OMPI_MCA_osc", "^ucx")  # which complains of hardware that isn't there
    try:
        _train(job, settings, resume, go_on=go_on, force=force, live=live)
    except (UserError, RunFailed) as error:
        _end_with(error)
    except Exception:  # left alone under a bare mpirun, it would leave the other ranks waiting
        from hybridmpi.engines.mpi.failed_job import end_job

        click.echo(traceback.format_exc(), err=True)
        end_job(1)


def _train(
    job: Path | None,
    settings: tuple[str, ...],
    resume: Path | None,
    *,
    go_on: bool,
    force: bool,
    live: bool,
) -> None:
    with quick_imports():
        from mpi4py import MPI

        from hybridmpi.cli.interruption import Interruption
        from hybridmpi.cli.progress import watch
        from hybridmpi.engines.mpi.agreement import agree
        from hybridmpi.engines.mpi.farewell import ends_alone
        from hybridmpi.engines.mpi.train import train as train_on_all_ranks

    interruption = Interruption()
    is_server, workers = MPI.COMM_WORLD.rank == 0, MPI.COMM_WORLD.size - 1
    _check_world()
    asked = agree(
        MPI.COMM_WORLD,
        lambda: asked_task(job, settings, resume, go_on=go_on) if is_server else None,
    )
    if go_on and MPI.COMM_WORLD.bcast(asked is None):
        if is_server:
            click.echo("The run is complete already.")
        return
    output = asked.output if asked is not None else Path()
    with watch(live=live, is_shown=is_server, title=output.stem, workers=workers) as watcher:
        watcher.tell(f"{output.stem}: loading data and model for {workers} workers ...")
        outcome = train_on_all_ranks(
            asked and asked.job,
            output,
            force=force,
            resume=asked and asked.resume,
            interrupted=interruption.reason,
            report=watcher.report,
            tell=watcher.tell,
        )
    interruption.ignore()
    if outcome is not None:
        watcher.conclude(outcome)
        if not outcome.all_answered:
            _end_without_stragglers()
    if ends_alone():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _check_world() -> None:
    """Refuse ranks that should have found each other, but are alone."""
    from mpi4py import MPI

    if MPI.COMM_WORLD.size == 1:
        from hybridmpi.launcher import identify
        from hybridmpi.slurm.srun import check_pairing

        check_pairing(identify("the MPI library", MPI.Get_library_version()), os.environ)


def _end_without_stragglers() -> NoReturn:
    """End all ranks while some still compute; the run itself is complete."""
    from hybridmpi.engines.mpi.failed_job import end_job

    click.echo(
        "Some workers still compute (run.straggler_limit_s, faults.timeout_s); they are ended now. "
        "The run file is complete: what mpirun says of an abort can be ignored.",
        err=True,
    )
    end_job(0)


def _end_with(error: Exception) -> NoReturn:
    """Tell the error once, and end all ranks with its exit code."""
    from mpi4py import MPI

    from hybridmpi.engines.mpi.failed_job import end_job, tell_once
    from hybridmpi.engines.mpi.farewell import lost_ranks_of_world

    lost = lost_ranks_of_world()
    if MPI.COMM_WORLD.size == 1 and not is_first(os.environ):
        wait_for_the_first()
    else:
        tell_once(str(error), lost)
    if not isinstance(error, UserError) or lost:
        end_job(1, lost)
    code = 2 if MPI.COMM_WORLD.rank == 0 else 0  # all ranks raise it, and end in peace
    MPI.Finalize()
    sys.exit(code)
