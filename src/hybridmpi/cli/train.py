"""`hybridmpi train`: the command that each rank runs under mpirun."""

import signal
import sys
from pathlib import Path

import click

from hybridmpi.config import load_job


@click.command()
@click.argument("job", type=click.Path(path_type=Path), metavar="JOB.toml")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Replace a field of the job, e.g. --set run.seed=3. Can be given many times; "
    "`hybridmpi config JOB.toml` lists the fields.",
)
@click.option("--force", is_flag=True, help="Replace the run file if it is there already.")
@click.option("--live", is_flag=True, help="Show a live panel instead of a line every 5 s.")
def train(job: Path, settings: tuple[str, ...], force: bool, live: bool) -> None:
    """Train under mpirun: rank 0 is the parameter server, all other ranks are workers.

    \b
    Examples:
      hybridmpi launch -n 5 jobs/quickstart.toml
      mpirun -n 26 hybridmpi train jobs/cifar10.toml --set method.preset=async

    Ends with exit code 0 after a complete run and one that was stopped by a signal, 1 after a
    failed one, 2 for a mistake in the job.
    """
    from mpi4py import MPI

    from hybridmpi.cli.progress import watch
    from hybridmpi.engines.mpi.agreement import agree
    from hybridmpi.engines.mpi.train import train as train_on_all_ranks
    from hybridmpi.errors import RunFailed, UserError

    interruption = _Interruption()
    try:
        checked = agree(MPI.COMM_WORLD, lambda: load_job(job, settings))
        with watch(live=live, is_shown=MPI.COMM_WORLD.rank == 0) as watcher:
            outcome = train_on_all_ranks(
                checked,
                checked.output(job.stem),
                force=force,
                interrupted=interruption.reason,
                report=watcher.report,
                tell=watcher.tell,
            )
    except (UserError, RunFailed) as error:
        _end_with(error)
    if outcome is not None:
        watcher.conclude(outcome)


class _Interruption:
    """Remembers that a signal asked for the end; the server looks at it now and then."""

    def __init__(self) -> None:
        self._name = ""
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._remember)

    def reason(self) -> str:
        """Return the signal's name, or nothing."""
        return self._name

    def _remember(self, number: int, _: object) -> None:
        self._name = signal.Signals(number).name


def _end_with(error: Exception) -> None:
    """Tell the error once, on rank 0, and end all ranks with its exit code."""
    from mpi4py import MPI

    from hybridmpi.errors import UserError

    if MPI.COMM_WORLD.rank == 0:
        click.echo(f"Error: {error}", err=True)
    if isinstance(error, UserError):  # raised on all ranks
        sys.exit(2)
    sys.stderr.flush()
    MPI.COMM_WORLD.Abort(1)
