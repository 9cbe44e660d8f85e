"""`hybridmpi launch`: start `hybridmpi train` on many ranks of this machine."""

import os
import shlex
import shutil
import sys

import click

from hybridmpi.cli.job_options import Task
from hybridmpi.errors import UserError
from hybridmpi.launched import start
from hybridmpi.launcher import (
    CommandLine,
    command_line,
    find_library,
    matching_mpirun,
    train_command,
)
from hybridmpi.paths import expanded
from hybridmpi.resources import usable_cores
from hybridmpi.slurm.queue import Allocation, own_allocation
from hybridmpi.slurm.srun import srun_line
from hybridmpi.started import check_started_once


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "-n", "ranks", type=int, required=True, help="Ranks to start: 1 parameter server + workers."
)
@click.option(
    "--mpirun",
    metavar="PATH",
    callback=lambda _, __, given: given and expanded(given),
    help="The mpirun to use.  [default: the one beside this Python, else the first on PATH]",
)
@click.option(
    "--srun",
    is_flag=True,
    help="Start the ranks by srun, on all nodes of this Slurm allocation, instead of mpirun.",
)
@click.option(
    "--requeue",
    is_flag=True,
    help="In a Slurm job: begin the run, or go on with it (--go-on of train); when it was stopped "
    "by SIGUSR1, or its ranks were killed, put the job back into the queue.",
)
@click.option("--print", "only_print", is_flag=True, help="Print the mpirun line; don't run it.")
@click.argument(
    "train_args",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="JOB.toml [OPTIONS OF TRAIN]...",
)
def launch(
    ranks: int,
    mpirun: str | None,
    srun: bool,
    requeue: bool,
    only_print: bool,
    train_args: tuple[str, ...],
) -> None:
    """Start a training run under mpirun on this machine, or on the nodes of a Slurm allocation.

    All that is not an option of `launch` goes to `hybridmpi train`; see its --help. The mpirun line
    is written to stderr: copy it to add flags of mpirun's own, such as host files.

    Ctrl-C asks the ranks to stop, so that the run file is closed; a second one ends them at once.

    Example: hybridmpi launch -n 26 job.toml --set run.seed=2
    """
    check_started_once("hybridmpi launch", _instead(ranks, train_args), os.environ)
    allocation = own_allocation(os.environ)
    if allocation is None and (srun or requeue):
        raise UserError(
            "--srun and --requeue work in a Slurm job, but this is none: SLURM_JOB_ID is not set; "
            "`hybridmpi slurm` makes a job, or leave them out"
        )
    if requeue and allocation is not None:
        train_args = (*train_args, "--go-on", *(["--force"] if allocation.restarts else []))
    asked = _asked(train_args)
    line = _line(ranks, mpirun, train_args, allocation, uses_srun=srun)
    if only_print:
        click.echo(str(line))
        return
    click.echo(str(line), err=True)
    if asked is None:
        click.echo("The run is complete already.")
    elif not requeue or allocation is None:
        sys.exit(start(line, asked.output).exit_code)
    else:
        sys.exit(_run_in_queue(line, asked, allocation))


def _instead(ranks: int, train_args: tuple[str, ...]) -> str:
    arguments = shlex.join(train_args)
    return (
        f"type `hybridmpi launch -n {ranks} {arguments}`, which starts mpirun itself; or, for an "
        f"mpirun or srun line of your own, `mpirun -n {ranks} hybridmpi train {arguments}`"
    )


def _asked(train_args: tuple[str, ...]) -> Task | None:
    """Have mistakes in the arguments and in the job told here, once, instead of on every rank."""
    from hybridmpi.cli.go_on import asked_task
    from hybridmpi.cli.train import train

    with train.make_context("hybridmpi train", list(train_args)) as context:
        given = context.params
        asked = asked_task(given["job"], given["settings"], given["resume"], go_on=given["go_on"])
    if asked is not None:
        from hybridmpi.engines.job_check import check_job

        check_job(asked.job, quickly=True)  # the rest is for ranks, which import torch anyway
    return asked


def _line(
    ranks: int,
    mpirun: str | None,
    train_args: tuple[str, ...],
    allocation: Allocation | None,
    *,
    uses_srun: bool,
) -> CommandLine:
    on_terminal = _is_terminal()
    command = train_command([*(["--live"] if on_terminal else []), *train_args])
    cores = usable_cores() * (allocation.nodes if allocation else 1)
    if uses_srun:
        line = srun_line(find_library(), ranks, command, cores=cores, environment=os.environ)
    else:
        line = command_line(
            matching_mpirun(mpirun),
            ranks,
            command,
            cores=cores,
            is_root=os.geteuid() == 0,
            environment=os.environ,
        )
    return _with_terminal_size(line) if on_terminal else line


def _run_in_queue(line: CommandLine, asked: Task, allocation: Allocation) -> int:
    """Run the line in a job that may be put back into the queue; return the job's exit code."""
    from hybridmpi.cli.requeue import begun, conclude

    run = begun(asked)
    del asked  # its checkpoint is as large as the model
    return conclude(run, start(line, run.output, usr1_stops=True), allocation)


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _with_terminal_size(line: CommandLine) -> CommandLine:
    """Tell the ranks how large the terminal is: behind mpirun they write to pipes."""
    columns, lines = shutil.get_terminal_size()
    size = {"COLUMNS": str(columns), "LINES": str(lines)}
    return CommandLine({**line.environment, **size}, line.arguments)
