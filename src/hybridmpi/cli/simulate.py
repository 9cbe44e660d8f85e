"""`hybridmpi simulate`: a job on virtual time."""

from pathlib import Path

import click

from hybridmpi.cli.job_options import (
    job_or_resume_argument,
    resume_option,
    settings_option,
    task,
)


@click.command()
@job_or_resume_argument
@settings_option
@resume_option
@click.option("--force", is_flag=True, help="Replace the run file if it is there already.")
def simulate(job: Path | None, settings: tuple[str, ...], resume: Path | None, force: bool) -> None:
    """Train on virtual time: gradients are computed, only time is modelled.

    The job's [simulate] section gives the machine: number of workers, compute times, network. Needs
    no MPI, and writes the same run file.

    Example: hybridmpi simulate jobs/quickstart.toml --set simulate.workers=100

    With [checkpoint] in the job, a run that was killed or stopped goes on with --resume, and ends
    with the same bits as one that was not.

    Ends with exit code 0 after a complete run and one that was stopped by a signal, 1 after a
    failed one, 2 for a mistake in the job.
    """
    from hybridmpi.cli.interruption import Interruption
    from hybridmpi.cli.progress import watch
    from hybridmpi.engines.simulate.simulate import Simulation

    checked, output, state = task(job, settings, resume, "simulate")
    workers = checked.simulate.workers
    interruption = Interruption()
    with watch(live=False, is_shown=True, title=output.stem, workers=workers) as watcher:
        watcher.tell(f"{output.stem}: loading data and model for {workers} virtual workers ...")
        simulation = Simulation(checked)
        outcome = simulation.run(
            output,
            force=force,
            interrupted=interruption.reason,
            report=watcher.report,
            resume=state,
        )
    watcher.conclude(outcome)
