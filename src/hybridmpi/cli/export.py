"""hybridmpi export: a trained model out of a run file."""

from pathlib import Path

import click

from hybridmpi.cli.paths import ExpandedPath


@click.command()
@click.argument("run_file", metavar="RUN.h5", type=ExpandedPath())
@click.argument("model_file", metavar="MODEL.safetensors", type=ExpandedPath())
@click.option("--force", is_flag=True, help="Replace MODEL.safetensors if it exists.")
def export(run_file: Path, model_file: Path, force: bool) -> None:
    """Write the final parameters of a run as a safetensors file.

    The tensors carry the model's own names, so that load_state_dict takes them.
    """
    from hybridmpi.runlog.reader import read_run
    from hybridmpi.runlog.state_dict import save_state_dict

    save_state_dict(read_run(run_file), model_file, force)
    click.echo(f"wrote {model_file}")
