"""`hybridmpi launch`: start `hybridmpi train` on many ranks of this machine."""

import os
import shutil
import sys

import click

from hybridmpi.launcher import CommandLine, command_line, matching_mpirun, train_command
from hybridmpi.resources import usable_cores
from hybridmpi.supervise import supervise


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "-n", "ranks", type=int, required=True, help="Ranks to start: 1 parameter server + workers."
)
@click.option(
    "--mpirun",
    metavar="PATH",
    help="The mpirun to use.  [default: the one beside this Python, else the first on PATH]",
)
@click.option("--print", "only_print", is_flag=True, help="Print the mpirun line; don't run it.")
@click.argument(
    "train_args",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="JOB.toml [OPTIONS OF TRAIN]...",
)
def launch(ranks: int, mpirun: str | None, only_print: bool, train_args: tuple[str, ...]) -> None:
    """Start a training run under mpirun on this machine.

    All that is not an option of `launch` goes to `hybridmpi train`; see its --help. The mpirun line
    is written to stderr: copy it to add flags of mpirun's own, such as host files.

    Ctrl-C asks the ranks to stop, so that the run file is closed; a second one ends them at once.

    Example: hybridmpi launch -n 26 job.toml --set run.seed=2
    """
    _check_train_args(train_args)
    on_terminal = _is_terminal()
    line = command_line(
        matching_mpirun(mpirun),
        ranks,
        train_command([*(["--live"] if on_terminal else []), *train_args]),
        cores=usable_cores(),
        is_root=os.geteuid() == 0,
        environment=os.environ,
    )
    if on_terminal:
        line = _with_terminal_size(line)
    if only_print:
        click.echo(str(line))
        return
    click.echo(str(line), err=True)
    sys.exit(supervise(line))


def _check_train_args(train_args: tuple[str, ...]) -> None:
    """Have mistakes in the arguments and in the job told here, once, instead of on every rank."""
    from hybridmpi.cli.job_options import task
    from hybridmpi.cli.train import train

    with train.make_context("hybridmpi train", list(train_args)) as context:
        given = context.params
        task(given["job"], given["settings"], given["resume"], "mpi")


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _with_terminal_size(line: CommandLine) -> CommandLine:
    """Tell the ranks how large the terminal is: behind mpirun they write to pipes."""
    columns, lines = shutil.get_terminal_size()
    size = {"COLUMNS": str(columns), "LINES": str(lines)}
    return CommandLine({**line.environment, **size}, line.arguments)
