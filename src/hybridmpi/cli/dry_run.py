"""What `compare --dry-run` says: the runs by variant and cell, and how long they will take."""

from collections.abc import Sequence
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from hybridmpi.cli import console
from hybridmpi.cli.progress.wording import duration
from hybridmpi.experiments.compare import states_of
from hybridmpi.experiments.estimate import estimate
from hybridmpi.experiments.folder import State, check
from hybridmpi.experiments.plan import Plan, PlannedRun
from hybridmpi.experiments.times import read_times


def show_plan(plan: Plan, folder: Path, processes: int) -> None:
    """Print the runs, those that are there, and an estimate for the rest.

    Raises:
        UserError: If the folder is another experiment's.
    """
    plan = check(folder, plan)
    states = states_of(plan, folder)
    console.show(_table(plan, states))
    todo = [run for run, state in states.items() if state == "missing"]
    click.echo(
        f"{len(states)} runs{_of_which_tune(plan)}, {len(states) - len(todo)} of them there already"
    )
    if not todo:
        return
    known = estimate(plan, todo, read_times(folder))
    at_a_time = processes if plan.experiment.engine == "simulate" else 1
    click.echo(
        f"about {duration(known.seconds / min(at_a_time, len(todo)))} for the other {len(todo)}, "
        f"{at_a_time} at a time (by {known.basis})"
    )


def _table(plan: Plan, states: dict[PlannedRun, State]) -> Table:
    """Return one row per variant and cell."""
    axes = list(plan.experiment.axes)
    table = Table(box=SIMPLE_HEAD)
    for heading in ("variant", *axes):
        table.add_column(heading, overflow="fold")
    for heading in ("runs", "there"):
        table.add_column(heading, justify="right")
    table.add_column("same runs as", overflow="fold")
    if plan.experiment.tune is not None:
        table.add_column("tuning runs", justify="right")
    groups: dict[tuple[str, tuple[str, ...]], list[PlannedRun]] = {}
    for run in states:
        for place in run.places:
            key = place.variant, tuple(str(value) for _, value in place.cell)
            groups.setdefault(key, []).append(run)
    for variant in plan.experiment.variants:
        for key in [key for key in groups if key[0] == variant]:
            table.add_row(*key[:1], *key[1], *_counts(plan, key, groups[key], states))
    return table


def _counts(
    plan: Plan,
    key: tuple[str, tuple[str, ...]],
    runs: Sequence[PlannedRun],
    states: dict[PlannedRun, State],
) -> list[str]:
    deciding = [run for run in runs if not run.is_tuning]
    there = sum(states[run] != "missing" for run in deciding)
    first = deciding[0].places[0]
    own = first.variant, tuple(str(value) for _, value in first.cell)
    same = "" if own == key else ", ".join([own[0], *own[1]])
    tuning = [str(len(runs) - len(deciding))] if plan.experiment.tune is not None else []
    return [str(len(deciding)), str(there), same, *tuning]


def _of_which_tune(plan: Plan) -> str:
    tuning = sum(run.is_tuning for run in plan.runs)
    return f" ({tuning} of them tune)" if tuning else ""
