"""hybridmpi export: what a run file holds, in the format of another program."""

from pathlib import Path

import click

from hybridmpi.cli.paths import ExpandedPath


@click.command()
@click.argument("run_file", metavar="RUN.h5", type=ExpandedPath())
@click.argument("file", metavar="FILE", type=ExpandedPath())
@click.option("--force", is_flag=True, help="Replace FILE if it exists.")
def export(run_file: Path, file: Path, force: bool) -> None:
    r"""Write what a run file holds in the format that FILE's name ends with.

    \b
    .safetensors  the final parameters, under the model's own names: load_state_dict takes them
    .mat          the tables and attributes, for MATLAB and Octave
    .h5           a closed copy, for readers that refuse a file that is being written, or whose
                  writer was killed: h5dump, PyTables, R
    """
    from hybridmpi.errors import UserError
    from hybridmpi.runlog.closed_copy import save_closed_copy
    from hybridmpi.runlog.matlab import save_mat
    from hybridmpi.runlog.reader import read_run
    from hybridmpi.runlog.state_dict import save_state_dict

    formats = {".safetensors": save_state_dict, ".mat": save_mat, ".h5": save_closed_copy}
    if file.suffix not in formats:
        raise UserError(
            f"'{file}' ends with '{file.suffix}', but must end with one of "
            f"{', '.join(formats)}: that names the format"
        )
    formats[file.suffix](read_run(run_file), file, force)
    click.echo(f"wrote {file}")
