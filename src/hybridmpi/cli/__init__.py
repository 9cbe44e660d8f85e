"""The command line: `main` is the click group, every other module here holds one command.

A command's module is imported only when that command runs, so that `hybridmpi --help` is quick and
no command pays for another one's imports.
"""

import importlib
from typing import Any

import click

from hybridmpi import __version__
from hybridmpi.cli.quick_imports import quick_imports
from hybridmpi.cli.surroundings import settle
from hybridmpi.errors import RunFailed, UserError, nearest

# The module hybridmpi.cli.NAME holds the click command NAME.
COMMANDS = {
    "launch": "Start a training run under mpirun on this machine.",
    "slurm": "Write or submit a batch script for Slurm.",
    "train": "Train: the command that each rank runs.",
    "simulate": "Train on virtual time, with any number of workers, without MPI.",
    "compare": "Compare methods: make the runs of an experiment.",
    "replay": "Compute a recorded run again: bit for bit, or under another method.",
    "calibrate": "Fit the simulator's machine to a recorded run.",
    "config": "Show a job with all its fields, their meanings and units.",
    "report": "Compare methods by many run files: tables, statistics, figures.",
    "show": "Show what a run file holds.",
    "export": "Write a run's trained model to a safetensors file.",
    "doctor": "Check this machine, and say how to mend what is wrong.",
}


class LazyGroup(click.Group):
    """A group that imports a command when it runs, and turns our errors into messages."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line, whatever environment it is started in."""
        settle()
        return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Name all commands, those that a newcomer needs first in front."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command `cmd_name`."""
        if cmd_name not in COMMANDS:
            return None
        with quick_imports():
            module = importlib.import_module(f"hybridmpi.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` names, or say which name is nearest to it."""
        if args[0] not in COMMANDS:
            ctx.fail(f"no command '{args[0]}'; {nearest(args[0], COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; `UserError` and `RunFailed` become a message and an exit code."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise _BadInput(str(error)) from None
        except RunFailed as error:
            raise click.ClickException(str(error)) from None  # exit code 1


class _BadInput(click.ClickException):
    exit_code = 2


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hybridmpi", message="%(prog)s %(version)s")
def main() -> None:
    """Parallel SGD between synchronous and asynchronous, under MPI.

    Begin with `hybridmpi doctor`, then `hybridmpi launch -n 5 JOB.toml`.
    """
