"""Reading what an HDF5 file holds, whoever made the file.

HDF5 can do more than a run file needs, and all of that is refused: data that lie in other files,
or are put together from them, would show those files to whoever asks for a figure; compressed data
and datasets of any size with nothing in them would fill the memory. What is left takes memory in
proportion to the length of the file.
"""

import os
from typing import Any

import h5py
import numpy as np

from hybridmpi.core.metrics import CLASSIFICATION, Metric
from hybridmpi.runlog.schema import (
    EVALUATIONS,
    HIGHER_IS_BETTER,
    LONGEST_TEXT,
    LOWER_IS_BETTER,
    SCHEMA_MINOR,
)

# A dataset may claim so much more than its file holds: rows whose writing was broken off.
_BROKEN_OFF_BYTES = 2**26
_MOST_ATTRIBUTES = 100
_PLAIN_KINDS = "biufS"


def dataset(file: Any, name: str) -> Any:
    """Return a dataset whose data lie in this very file, as they are.

    Raises:
        KeyError: If there is none.
        ValueError: If it is something else.
    """
    parts = name.split("/")
    for end in range(1, len(parts) + 1):  # not followed before they are known to stay in the file
        link = file.id.links.get_info("/".join(parts[:end]).encode())
        if link.type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{name} is a link to elsewhere")
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise ValueError(f"{name} holds no data")
    made = found.id.get_create_plist()
    is_virtual = made.get_layout() == h5py.h5d.VIRTUAL
    if made.get_nfilters() or made.get_external_count() or is_virtual:
        raise ValueError(f"{name} is compressed, or its data lie in other files")
    claimed = found.size * found.dtype.itemsize
    if claimed > os.stat(file.filename).st_size + _BROKEN_OFF_BYTES:
        raise ValueError(f"{name} claims {claimed} bytes, but the file is shorter")
    return found


def has_group(file: Any, name: str) -> bool:
    """Say whether the file has something of this name, at its root."""
    return bool(file.id.links.exists(name.encode()))


def table_dataset(file: Any, name: str) -> Any:
    """Return the dataset of a table: rows of plain columns, whichever they are.

    Raises:
        KeyError: If there is none.
        ValueError: If it is no table.
    """
    found = dataset(file, name)
    names = found.dtype.names or ()
    if not names or found.ndim != 1 or not all(_is_plain(found.dtype[each]) for each in names):
        raise ValueError(f"{name} is no table of numbers and text")
    return found


def _is_plain(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in _PLAIN_KINDS and dtype.subdtype is None


def metrics(file: Any) -> tuple[Metric, ...]:
    """Return what a run was measured by, the one that decides by default first.

    Raises:
        KeyError: If it has no evaluations.
        ValueError: If they cannot be those of a run.
    """
    evaluations = table_dataset(file, EVALUATIONS.name)
    names = list(reversed(evaluations.dtype.names))
    marked = [name for name in names if f"{name}_direction" in evaluations.attrs]
    if not marked:  # as files had it that could be of image classification only
        return tuple(metric for metric in CLASSIFICATION if metric.name in names)
    return tuple(_metric(evaluations, name) for name in marked)


def _metric(evaluations: Any, name: str) -> Metric:
    direction, unit, meaning = (
        attribute(evaluations, each) for each in (f"{name}_direction", f"{name}_unit", name)
    )
    if direction not in (HIGHER_IS_BETTER, LOWER_IS_BETTER):
        raise ValueError(f"the direction of {name} is {direction!r}")
    return Metric(name, str(unit), direction == HIGHER_IS_BETTER, str(meaning))


def vectors(file: Any, name: str, dimensions: int) -> Any:
    """Return a dataset of float32 with so many dimensions.

    Raises:
        KeyError: If there is none.
        ValueError: If it is something else.
    """
    found = dataset(file, name)
    if found.dtype != np.float32 or found.ndim != dimensions:
        raise ValueError(f"{name} holds no parameters")
    return found


def attributes(file: Any) -> dict[str, str | int | float]:
    """Return the file's own attributes: texts and numbers.

    In a file of a newer minor version, what is neither is one that this version does not know.

    Raises:
        ValueError: If there are too many, or other ones.
    """
    if len(file.attrs) > _MOST_ATTRIBUTES:
        raise ValueError(f"it has more than {_MOST_ATTRIBUTES} attributes")
    minor = attribute(file, "schema_minor") if "schema_minor" in file.attrs else 0
    is_newer = isinstance(minor, int) and minor > SCHEMA_MINOR
    read = {}
    for name in file.attrs:
        try:
            read[name] = attribute(file, name)
        except ValueError:
            if not is_newer:
                raise
    return read


def attribute(item: Any, name: str) -> str | int | float:
    """Return an attribute: a text, or a number.

    Raises:
        KeyError: If there is none.
        ValueError: If it is something else.
    """
    if item.attrs.get_id(name).shape == ():
        value = item.attrs[name]
        plain = value.item() if isinstance(value, np.generic) else value
        plain = plain.decode() if isinstance(plain, bytes) else plain
        if isinstance(plain, str):
            if len(plain) > LONGEST_TEXT:
                raise ValueError(f"the attribute {name} is longer than {LONGEST_TEXT} characters")
            plain.encode()  # raises ValueError if it is no text
        if isinstance(plain, (str, int, float)):
            return plain
    raise ValueError(f"the attribute {name} is neither a text nor a number")
