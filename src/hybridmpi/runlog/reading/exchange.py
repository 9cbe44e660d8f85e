"""What a process that asks for a run file and the one that reads it both know."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hybridmpi.runlog.schema import LOGS, SNAPSHOTS, WORKERS

_PARAMETERS: np.dtype[Any] = np.dtype(np.float32)
DTYPES = {
    **{table.name: table.dtype for table in (*LOGS, SNAPSHOTS, WORKERS)},
    "final": _PARAMETERS,
    "snapshot": _PARAMETERS,
}


class Reading(NamedTuple):
    """What was read.

    Attributes:
        values: Texts and numbers, by name.
        arrays: Rows of tables, and parameters, of their `DTYPES`.
    """

    values: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def length(path: Path) -> int:
    """Return a file's length in bytes, 0 if it is not there: that is told when it is opened."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
