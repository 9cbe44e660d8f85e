"""The beginning of a run file: what a run that goes on from a checkpoint had recorded by then."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hybridmpi.core.metrics import Metric
from hybridmpi.errors import UserError
from hybridmpi.runlog.reading.process import read
from hybridmpi.runlog.schema import GRADIENTS, LOGS, tables_with


def read_beginning(
    path: Path, counts: Mapping[str, int], version: int, metrics: tuple[Metric, ...]
) -> dict[str, NDArray[np.void]]:
    """Read the first rows of a run file's tables, as they were at a version.

    Args:
        path: The run file, whatever became of its writer.
        counts: How many rows of each table.
        version: Pushes in later steps are in none yet.
        metrics: What the run that goes on is measured by.

    Raises:
        UserError: If the file cannot be read, or holds less than that.
    """
    rows = read("beginning", path, {table.name: counts[table.name] for table in LOGS}).arrays
    for table in tables_with(metrics):
        if table.name not in rows:  # the workers
            continue
        if rows[table.name].dtype.names != table.names:
            raise UserError(
                f"'{path}' has other columns in {table.name} than a run of this job and version of "
                f"hybridmpi ({', '.join(table.names)}); resume it with the version that began it"
            )
        if len(rows[table.name]) < counts[table.name]:
            raise UserError(
                f"'{path}' holds {len(rows[table.name])} rows of {table.name}, but the checkpoint "
                f"was taken after {counts[table.name]}; take the run file that it belongs to"
            )
    gradients = rows[GRADIENTS.name]
    is_later = gradients["step"] > version
    gradients["step"][is_later], gradients["weight"][is_later] = -1, 0
    return rows
