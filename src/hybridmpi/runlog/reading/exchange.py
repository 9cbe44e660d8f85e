"""What a process that asks for a run file and the one that reads it both know."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Dtype = str | list[list[str]]
"""A numpy dtype as JSON holds it: its name, or the names and dtypes of columns."""


class Reading(NamedTuple):
    """What was read.

    Attributes:
        values: Texts and numbers, by name.
        arrays: Rows of tables, and parameters.
    """

    values: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


def dtype_as_json(dtype: np.dtype[Any]) -> Dtype:
    """Return a dtype, of packed columns if of any, for `dtype_from_json`."""
    if dtype.names is None:
        return dtype.str
    return [[name, dtype[name].str] for name in dtype.names]


def dtype_from_json(given: Dtype) -> np.dtype[Any]:
    """Return the dtype that `dtype_as_json` was given."""
    return np.dtype(given if isinstance(given, str) else [tuple(column) for column in given])


def length(path: Path) -> int:
    """Return a file's length in bytes, 0 if it is not there: that is told when it is opened."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
