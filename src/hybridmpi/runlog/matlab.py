"""A run's tables as a .mat file, for MATLAB, and for Octave, which reads no tables of HDF5."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridmpi.runlog.replacing import check_free, replacing
from hybridmpi.runlog.run import Run
from hybridmpi.runlog.schema import LOGS, WORKERS


def save_mat(run: Run, path: Path, force: bool = False) -> None:
    r"""Write the tables of a run, each a struct with a column vector per column, and attributes.

    Text columns are cell arrays, in ASCII with escapes (`\\xfc`); `attributes.config` is the job as
    JSON.

    Args:
        run: A run, whatever became of its writer.
        path: The file to write, in MATLAB's format of level 5.
        force: Whether a file that is already there may be replaced.

    Raises:
        UserError: If the file cannot be written.
    """
    from scipy.io import savemat

    check_free(path, force)
    attributes = {"status": run.status, **run.attributes, "config": json.dumps(run.config)}
    attributes = {name: _ascii(value) for name, value in attributes.items()}
    tables = {table.name: _struct(getattr(run, table.name)) for table in (*LOGS, WORKERS)}
    with replacing(path) as beside, beside.open("wb") as file:
        savemat(file, {"attributes": attributes, **tables}, do_compression=True, oned_as="column")


def _struct(table: pd.DataFrame) -> dict[str, NDArray[Any]]:
    columns = {name: table[name].to_numpy() for name in table}
    return {
        name: np.array([_ascii(text) for text in held], object) if held.dtype.kind in "UO" else held
        for name, held in columns.items()
    }


def _ascii(value: Any) -> Any:
    """Return text with escapes for what is not ASCII: Octave cuts other text off."""
    return value.encode("ascii", "backslashreplace").decode() if isinstance(value, str) else value
