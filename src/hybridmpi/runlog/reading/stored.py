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

from hybridmpi.runlog.schema import LONGEST_TEXT, Table

# A dataset may claim so much more than its file holds: rows whose writing was broken off.
_BROKEN_OFF_BYTES = 2**26
_MOST_ATTRIBUTES = 100


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


def table_dataset(file: Any, table: Table) -> Any:
    """Return the dataset of a table.

    Raises:
        KeyError: If there is none.
        ValueError: If it is no such table.
    """
    found = dataset(file, table.name)
    if found.dtype != table.dtype or found.ndim != 1:
        raise ValueError(f"{table.name} has other columns than a run file of this version")
    return found


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

    Raises:
        ValueError: If there are too many, or other ones.
    """
    if len(file.attrs) > _MOST_ATTRIBUTES:
        raise ValueError(f"it has more than {_MOST_ATTRIBUTES} attributes")
    return {name: attribute(file, name) for name in file.attrs}


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
