"""The beginning of a run file: what a run that goes on from a checkpoint had recorded by then."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybridmpi.errors import UserError
from hybridmpi.runlog.reading.process import read
from hybridmpi.runlog.schema import GRADIENTS, LOGS


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
    rows = read("beginning", path, dict(counts)).arrays
    for table in LOGS:
        if len(rows[table.name]) < counts[table.name]:
            raise UserError(
                f"'{path}' holds {len(rows[table.name])} rows of {table.name}, but the checkpoint "
                f"was taken after {counts[table.name]}; take the run file that it belongs to"
            )
    gradients = rows[GRADIENTS.name]
    is_later = gradients["step"] > version
    gradients["step"][is_later], gradients["weight"][is_later] = -1, 0
    return rows
