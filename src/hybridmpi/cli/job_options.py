"""The arguments that name a job: shared by the commands that read one."""

from pathlib import Path

import click

job_argument = click.argument("job", type=click.Path(path_type=Path), metavar="JOB.toml")

settings_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Replace a field of the job, e.g. --set run.seed=3; an empty value takes it out. Can be "
    "given many times; `hybridmpi config JOB.toml` lists the fields.",
)
