"""`hybridmpi config`: show a job with all its fields."""

from pathlib import Path

import click

from hybridmpi.cli.job_options import job_argument, settings_option


@click.command()
@job_argument
@settings_option
def config(job: Path, settings: tuple[str, ...]) -> None:
    """Show a job with all its fields: what each means, its unit, and where its value comes from.

    Presets are filled in, and expressions such as '3/lr' evaluated. The output is a job file.

    Example: hybridmpi config jobs/mnist.toml --set method.preset=async
    """
    from rich.console import Console
    from rich.syntax import Syntax

    from hybridmpi.config import load_job
    from hybridmpi.config.resolved import resolved

    checked = load_job(job, settings)
    console = Console()
    if not console.is_terminal:
        click.echo(resolved(checked), nl=False)
        return
    syntax = Syntax("", "toml", theme="ansi_dark")
    console.print(syntax.highlight(resolved(checked, min(console.width, 110))), end="")
