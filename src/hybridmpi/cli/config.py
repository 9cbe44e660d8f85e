"""`hybridmpi config`: show a job with all its fields."""

from pathlib import Path

import click

from hybridmpi.cli.job_options import job_argument, settings_option


@click.command()
@job_argument
@settings_option
def config(job: Path, settings: tuple[str, ...]) -> None:
    """Show a job with all its fields: what each means, its unit, and where its value comes from.

    Presets are filled in, and expressions such as '3/lr' evaluated. The output is a job file. What
    training would refuse before it looks at data is refused here, too: names of data sets, models
    and optimizers, and their options. Code of yours is looked for, but not run.

    Example: hybridmpi config jobs/mnist.toml --set method.preset=async
    """
    from rich.console import Console
    from rich.syntax import Syntax

    from hybridmpi.config import load_job
    from hybridmpi.config.resolved import resolved

    checked = load_job(job, settings)
    if checked.simulate.learning:
        from hybridmpi.engines.job_check import check_job

        check_job(checked)
    console = Console()
    if not console.is_terminal:
        click.echo(resolved(checked), nl=False)
        return
    syntax = Syntax("", "toml", theme="ansi_dark")
    console.print(
        syntax.highlight(resolved(checked, min(console.width, 110))), end="", soft_wrap=True
    )
