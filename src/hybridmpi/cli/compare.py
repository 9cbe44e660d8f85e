"""`hybridmpi compare`: the runs of an experiment."""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hybridmpi.cli.job_options import settings_option
from hybridmpi.cli.paths import ExpandedPath
from hybridmpi.config.experiment import load_experiment
from hybridmpi.config.load import read_tree
from hybridmpi.resources import usable_cores
from hybridmpi.started import check_started_once

if TYPE_CHECKING:
    from hybridmpi.experiments.compare import Comparison
    from hybridmpi.experiments.plan import Plan

_LISTED = 10


@click.command()
@click.argument("experiment", type=ExpandedPath(), metavar="EXPERIMENT.toml")
@click.option(
    "--out",
    "folder",
    type=ExpandedPath(file_okay=False),
    required=True,
    help="Folder of the experiment; if it has been begun, what is missing is made.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="Runs to simulate at a time.  [default: as many as there are usable cores]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be run and how long; run nothing.")
@click.option(
    "--write-jobs",
    is_flag=True,
    help="Make no runs; write a job file for each into FOLDER/jobs, for `hybridmpi slurm`.",
)
@click.option("--retry-failed", is_flag=True, help="Make runs that failed again, too.")
@settings_option
@click.pass_context
def compare(
    context: click.Context,
    experiment: Path,
    folder: Path,
    processes: int | None,
    dry_run: bool,
    write_jobs: bool,
    retry_failed: bool,
    settings: tuple[str, ...],
) -> None:
    """Make the runs of an experiment: every variant at every combination of the axes and seeds.

    What is there already is not made again, so that an experiment can be cut short at any time and
    gone on with by the same command. --set replaces fields of the base job.

    On a cluster: mpirun -n N python -m mpi4py.futures -m hybridmpi compare ... shares simulated
    runs out; for runs that are ranks themselves, --write-jobs.

    Example: hybridmpi compare jobs/experiment-digits.toml --out digits

    Ends with exit code 0 if all runs are there, failed ones among them; 1 if some are missing; 2
    for a mistake in the experiment; 128 + its number after a signal.
    """
    from hybridmpi.experiments.plan import plan
    from hybridmpi.experiments.pool import is_on_ranks

    if not is_on_ranks():
        check_started_once(
            "hybridmpi compare",
            "leave mpirun out; or, to share simulated runs out among its ranks, put `python -m "
            "mpi4py.futures -m hybridmpi compare` in place of `hybridmpi compare`",
            os.environ,
        )
    declared = load_experiment(experiment)
    planned = plan(declared, read_tree(declared.job, settings))
    processes = processes or usable_cores()
    if dry_run:
        from hybridmpi.cli.dry_run import show_plan

        show_plan(planned, folder, processes)
        return
    if write_jobs:
        _write_jobs(planned, folder, experiment)
        return
    from hybridmpi.cli.interruption import Interruption
    from hybridmpi.cli.progress.experiment import watch_runs
    from hybridmpi.experiments.compare import compare as make_runs

    interruption = Interruption()
    with watch_runs() as watcher:
        comparison = make_runs(
            planned,
            folder,
            experiment,
            processes=processes,
            retry_failed=retry_failed,
            interrupted=interruption.reason,
            watcher=watcher,
        )
    _conclude(comparison, folder, interruption.reason())
    if reason := interruption.reason():
        context.exit(128 + signal.Signals[reason])
    context.exit(1 if comparison.of("missing") else 0)


def _write_jobs(planned: "Plan", folder: Path, experiment: Path) -> None:
    from hybridmpi.experiments.job_files import write_job_files

    jobs = write_job_files(planned, folder, experiment)
    ranks = planned.experiment.ranks
    click.echo(
        f"{len(planned.runs)} jobs are in {jobs}, of {ranks} ranks each\n"
        f"Next: hybridmpi slurm {jobs} --ranks {ranks} --nodes N --time LIMIT --submit\n"
        f"Then: hybridmpi report {folder}"
    )


def _conclude(comparison: "Comparison", folder: Path, interrupted_by: str) -> None:
    """Say what is there, what is missing, and what comes next."""
    from hybridmpi.cli.progress.experiment import describe
    from hybridmpi.experiments.folder import failure_of

    missing, failed = comparison.of("missing"), comparison.of("failed")
    done = len(comparison.states) - len(missing)
    click.echo(f"{done} of {len(comparison.states)} runs are there, in {folder}")
    _list("failed", [f"{describe(run)}: {failure_of(folder / run.file)}" for run in failed])
    if failed:
        click.echo("Failed runs are results, too; --retry-failed makes them again.")
    _list("broken", [f"{describe(run)}: {error}" for run, error in comparison.broken.items()])
    rest = [run for run in missing if run not in comparison.broken]
    _list("missing", [describe(run) for run in rest])
    if missing:
        stopped = f"Stopped by {interrupted_by}. " if interrupted_by else ""
        click.echo(f"{stopped}Start the same command again to go on.")
    click.echo(f"Next: hybridmpi report {folder}")


def _list(state: str, lines: list[str]) -> None:
    from hybridmpi.cli.progress.wording import in_one_line

    if not lines:
        return
    click.echo(f"{len(lines)} {state}:")
    for line in lines[:_LISTED]:
        click.echo(f"  {in_one_line(line)}")
    if len(lines) > _LISTED:
        click.echo(f"  ... and {len(lines) - _LISTED} more")
