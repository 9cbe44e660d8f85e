"""`hybridmpi replay`: a recorded run again, bit for bit or under another method."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hybridmpi.cli.paths import ExpandedPath
from hybridmpi.config.load import change_job

if TYPE_CHECKING:
    from hybridmpi.config import Job
    from hybridmpi.runlog.run import Run

_NOT_EXPECTED_TO_MATCH = 3  # exit code


@click.command()
@click.argument("run_file", type=ExpandedPath(), metavar="RUN.h5")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Ask what if: replace a field of the run's job, e.g. --set method.preset=sync. "
    "Fields that only say where a run takes place, such as data.root, leave it the same run.",
)
@click.option(
    "--output",
    type=ExpandedPath(),
    help="Run file of what would have been. [default: RUN-what-if.h5]",
)
@click.option("--force", is_flag=True, help="Replace that file if it is there already.")
@click.pass_context
def replay(
    context: click.Context,
    run_file: Path,
    settings: tuple[str, ...],
    output: Path | None,
    force: bool,
) -> None:
    """Compute a recorded run again and compare it bit for bit; or ask "what if".

    Without --set, every gradient is computed again in its recorded order of arrival, and every
    loss and the final parameters are compared. With --set, the recorded compute times of each
    worker are played under another method, as a simulated run.

    Ends with exit code 0 if all bits match, 1 if some differ, 2 for a mistake in what was given,
    and 3 if some differ that cannot be expected to match here, which is said: other versions of
    libraries, another processor, or a GPU.

    With --set, ends with exit code 0 after a complete run and one that was stopped by a signal, 1
    after a failed one, 2 for a mistake in what was given.
    """
    from hybridmpi.runlog.reader import read_run

    run = read_run(run_file)
    if all(map(_says_only_where, settings)):
        context.exit(_compare(run, change_job(run.config, settings, str(run_file))))
    job = change_job(_with_machine(run), settings, str(run_file))
    _ask_what_if(run, job, output or run_file.with_name(f"{run_file.stem}-what-if.h5"), force)


def _says_only_where(setting: str) -> bool:
    from hybridmpi.config.changes import Changes
    from hybridmpi.config.fields import changes_of

    return changes_of(setting.partition("=")[0].strip()) == Changes.PLACE


def _with_machine(run: "Run") -> dict[str, Any]:
    """Return the run's job with the machine that it had; workers are left to --set."""
    from hybridmpi.engines.what_if import machine_of

    section = machine_of(run).model_dump(mode="json", exclude={"workers"})
    return {**run.config, "simulate": section}


def _compare(run: "Run", job: "Job") -> int:
    """Replay, say what was found, and return the exit code."""
    from hybridmpi.engines.replay import replay as replay_run

    with click.progressbar(length=len(run.gradients), label="replaying", file=sys.stderr) as bar:
        verdict = replay_run(run, job, report=lambda done, _: bar.update(done - bar.pos))
    click.echo(
        f"  gradients   {verdict.equal_losses:,} of {verdict.gradients:,} losses as recorded"
    )
    click.echo(f"  steps       {verdict.steps:,}")
    difference = verdict.largest_parameter_difference
    known = "not recorded" if difference is None else f"largest difference {difference:g}"
    click.echo(f"  final       {known}")
    if verdict.is_match:
        click.echo("every bit is as recorded")
        return 0
    click.echo(f"first difference: {verdict.first_difference}")
    click.echo(f"largest difference of a loss: {verdict.largest_loss_difference:g}")
    if verdict.other_conditions:
        click.echo(f"bits cannot be expected to match here: {'; '.join(verdict.other_conditions)}")
        return _NOT_EXPECTED_TO_MATCH
    return 1


def _ask_what_if(run: "Run", job: "Job", output: Path, force: bool) -> None:
    from hybridmpi.cli.interruption import Interruption
    from hybridmpi.cli.progress import watch
    from hybridmpi.engines.what_if import what_if

    interruption = Interruption()
    with watch(live=False, is_shown=True, title=output.stem) as watcher:
        watcher.tell(
            f"{output.stem}: the compute times of {run.path.name} under another method ..."
        )
        outcome, used, resampled = what_if(
            run, job, output, force=force, interrupted=interruption.reason, report=watcher.report
        )
    watcher.conclude(outcome)
    click.echo(f"  compute times  {used:,} used, {resampled:,} of them resampled")
