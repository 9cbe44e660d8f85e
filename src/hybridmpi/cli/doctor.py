"""`hybridmpi doctor`: check that this machine can train."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hybridmpi.cli import console
from hybridmpi.cli.paths import ExpandedPath
from hybridmpi.doctor import diagnose
from hybridmpi.doctor.check import Check, State
from hybridmpi.paths import expanded

_STYLES = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "bold red"}


@click.command()
@click.option(
    "--data",
    "data_roots",
    metavar="ROOT",
    multiple=True,
    type=ExpandedPath(),
    help="Folder of data sets; may be given again.  [default: $HYBRIDMPI_DATA, else data]",
)
@click.option(
    "--output",
    metavar="FOLDER",
    type=ExpandedPath(),
    default=Path("runs"),
    show_default=True,
    help="Folder that run files are to be written to.",
)
def doctor(data_roots: tuple[Path, ...], output: Path) -> None:
    """Check this machine, and say how to mend what is wrong.

    Ends with exit code 1 if there is a problem; warnings concern some runs only.
    """
    roots = data_roots or (Path(expanded(os.environ.get("HYBRIDMPI_DATA") or "data")),)
    with Console(stderr=True).status("Checking …") as status:
        checks = []
        for check in diagnose(roots, output):
            checks.append(check)
            status.update(f"Checking … {check.name}: {check.state}")
    console.show(table(checks), Text(f"{verdict(checks)}\n"))
    sys.exit(any(check.state is State.PROBLEM for check in checks))


def table(checks: Sequence[Check]) -> Table:
    """Lay out the checks, with what mends them below what was found."""
    rows = Table(box=SIMPLE_HEAD, pad_edge=False)
    rows.add_column("check", no_wrap=True)
    rows.add_column("state", no_wrap=True)
    rows.add_column("found, and how to mend it", overflow="fold")
    for check in checks:
        found = Text(check.found)
        if check.mend:
            found.append(f"\n→ {check.mend}", style="cyan")
        rows.add_row(check.name, Text(check.state, style=_STYLES[check.state]), found)
    return rows


def verdict(checks: Sequence[Check]) -> str:
    """Sum the checks up in a sentence."""
    states = [check.state for check in checks]
    problems, warnings = states.count(State.PROBLEM), states.count(State.WARNING)
    if problems:
        return f"{_count(problems, 'problem')} to mend before training here."
    if warnings:
        return f"Ready to train, with {_count(warnings, 'warning')}."
    return "Ready to train."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
