"""hybridmpi show: what happened in a run."""

from pathlib import Path

import click

from hybridmpi.cli.paths import ExpandedPath
from hybridmpi.errors import UserError


@click.command()
@click.argument("run_file", metavar="RUN.h5", type=ExpandedPath())
@click.option(
    "--out",
    "figure_file",
    metavar="FILE.png",
    type=ExpandedPath(),
    help="Where the figure goes; its suffix says the format.  [default: RUN.png]",
)
@click.option("--no-figure", is_flag=True, help="Print the summary only.")
def show(run_file: Path, figure_file: Path | None, no_figure: bool) -> None:
    """Print a summary of a run and draw its figure.

    The run may still be going on.
    """
    from hybridmpi.cli import console
    from hybridmpi.experiments.run_summary import summarize
    from hybridmpi.runlog.reader import read_run

    if no_figure and figure_file:
        raise UserError("--out and --no-figure exclude each other; give one of them")
    run = read_run(run_file)
    if no_figure:
        console.show(summarize(run))
        return
    from hybridmpi.experiments.run_figure import save_run_figure

    figure_file = figure_file or run_file.with_suffix(".png")
    save_run_figure(run, figure_file)  # first: a reader such as `head` may not take all of the rest
    console.show(summarize(run))
    click.echo(f"wrote {figure_file}")
