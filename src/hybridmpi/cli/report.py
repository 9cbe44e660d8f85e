"""`hybridmpi report`: what the runs of an experiment, or a list of run files, say together."""

from pathlib import Path

import click

from hybridmpi.cli.paths import ExpandedPath


@click.command()
@click.argument(
    "sources",
    metavar="DIR|RUN.h5...",
    nargs=-1,
    required=True,
    type=ExpandedPath(),
)
@click.option(
    "--out",
    "folder",
    metavar="FOLDER",
    type=ExpandedPath(file_okay=False),
    help="Where the report goes.  [default: DIR, or ./report for run files]",
)
def report(sources: tuple[Path, ...], folder: Path | None) -> None:
    """Compare methods by the run files of an experiment, or by any others.

    DIR is a folder that `hybridmpi compare` made. Other run files are sorted by what their jobs
    differ in; nothing was asked before such runs, so there are intervals, but no verdicts.

    Ends with exit code 0, also where runs are missing, unfinished or flagged, which the report
    says; with 2 if there is nothing to report on.
    """
    from hybridmpi.cli import console
    from hybridmpi.experiments.figures.style import plain_style
    from hybridmpi.experiments.render.report import write_report
    from hybridmpi.experiments.report.build import build_document
    from hybridmpi.experiments.report.sources import default_folder, read_sources
    from hybridmpi.experiments.report.terminal import outline

    folder = folder or default_folder(sources)
    read = read_sources(sources)
    with plain_style():
        document = build_document(read.study, read.digests, read.title)
        write_report(document, folder)
    console.show(outline(document))
    click.echo(f"wrote {folder / 'report.html'}")
