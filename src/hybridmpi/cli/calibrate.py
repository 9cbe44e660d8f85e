"""`hybridmpi calibrate`: fit the simulator's machine to a recorded run."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hybridmpi.cli.paths import ExpandedPath
from hybridmpi.config.load import change_job

if TYPE_CHECKING:
    from rich.table import Table

    from hybridmpi.engines.calibration_check import Comparison


@click.command()
@click.argument("run_file", type=ExpandedPath(), metavar="RUN.h5")
@click.argument("others", type=ExpandedPath(), metavar="[MORE.h5]...", nargs=-1)
@click.option(
    "--output",
    type=ExpandedPath(dir_okay=False),
    help="Write the section to this file.  [default: stdout]",
)
@click.option("--force", is_flag=True, help="Replace that file if it is there already.")
def calibrate(run_file: Path, others: tuple[Path, ...], output: Path | None, force: bool) -> None:
    """Fit the simulator's time model to a run under MPI, and write it as a [simulate] section.

    Fitted are the compute time per sample, its jitter, each worker's slowness, the latency of a
    message, the server's time per gradient and per step, and the sharing of cores. A table on
    stderr shows how well the simulator gives back the recorded run.

    All messages of a run have one size, so that latency and bandwidth cannot be told apart and the
    whole time of a message is given as latency; MORE.h5, runs on the same machine with models of
    other sizes, tell them apart.

    Example: hybridmpi calibrate run.h5 >> job.toml
    """
    from hybridmpi.cli import console
    from hybridmpi.config.resolved import section_as_toml
    from hybridmpi.engines.calibration import calibrate as calibrate_run
    from hybridmpi.engines.calibration_check import compare
    from hybridmpi.runlog.reader import read_run
    from hybridmpi.runlog.replacing import check_free, replacing

    if output is not None:
        check_free(output, force)
    run = read_run(run_file)
    job = change_job(run.config, (), str(run_file))
    calibration = calibrate_run(run, job, [read_run(path) for path in others])
    text = section_as_toml("simulate", calibration.section)
    if output is None:
        click.echo(text, nl=False)
    else:
        with replacing(output) as beside:
            beside.write_text(text)
    console.show(_table(compare(run, job, calibration)), err=True)


def _table(comparisons: "list[Comparison]") -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD)
    for name in ("part", "quantity"):
        table.add_column(name)
    for name in ("recorded", "simulated", "off by"):
        table.add_column(name, justify="right")
    for row in comparisons:
        values = (f"{value:,.4g} {row.unit}".strip() for value in (row.recorded, row.simulated))
        table.add_row(row.part, row.quantity, *values, f"{row.difference:+.1%}")
    return table
