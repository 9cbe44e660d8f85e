"""`hybridmpi simulate`: a job on virtual time."""

from pathlib import Path

import click

from hybridmpi.cli.job_options import job_argument, settings_option
from hybridmpi.config import load_job


@click.command()
@job_argument
@settings_option
@click.option("--force", is_flag=True, help="Replace the run file if it is there already.")
def simulate(job: Path, settings: tuple[str, ...], force: bool) -> None:
    """Train on virtual time: gradients are computed, only time is modelled.

    The job's [simulate] section gives the machine: number of workers, compute times, network. Needs
    no MPI, and writes the same run file.

    Example: hybridmpi simulate jobs/quickstart.toml --set simulate.workers=100

    Ends with exit code 0 after a complete run and one that was stopped by a signal, 1 after a
    failed one, 2 for a mistake in the job.
    """
    from hybridmpi.cli.interruption import Interruption
    from hybridmpi.cli.progress import watch
    from hybridmpi.engines.simulate.simulate import Simulation

    checked = load_job(job, settings)
    output, workers = checked.output(job.stem), checked.simulate.workers
    interruption = Interruption()
    with watch(live=False, is_shown=True, title=output.stem, workers=workers) as watcher:
        watcher.tell(f"{output.stem}: loading data and model for {workers} virtual workers ...")
        simulation = Simulation(checked)
        outcome = simulation.run(
            output, force=force, interrupted=interruption.reason, report=watcher.report
        )
    watcher.conclude(outcome)
