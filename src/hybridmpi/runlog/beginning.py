"""The beginning of a run file: what a run that goes on from a checkpoint had recorded by then."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybridmpi.errors import UserError
from hybridmpi.runlog.run_file import open_run_file
from hybridmpi.runlog.schema import GRADIENTS, LOGS
from hybridmpi.runlog.stored import table_dataset


def read_beginning(
    path: Path, counts: Mapping[str, int], version: int
) -> dict[str, NDArray[np.void]]:
    """Read the first rows of a run file's tables, as they were at a version.

    Args:
        path: The run file, whatever became of its writer.
        counts: How many rows of each table.
        version: Pushes in later steps are in none yet.

    Raises:
        UserError: If the file cannot be read, or holds less than that.
    """
    rows: dict[str, NDArray[np.void]] = {}
    with open_run_file(path) as file:
        for table in LOGS:
            held = table_dataset(file, table)
            if len(held) < counts[table.name]:
                raise UserError(
                    f"'{path}' holds {len(held)} rows of {table.name}, but the checkpoint was "
                    f"taken after {counts[table.name]}; take the run file that it belongs to"
                )
            rows[table.name] = held[: counts[table.name]]
    gradients = rows[GRADIENTS.name]
    is_later = gradients["step"] > version
    gradients["step"][is_later], gradients["weight"][is_later] = -1, 0
    return rows
