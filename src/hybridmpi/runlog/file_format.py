"""The HDF5 that run files consist of: the one place that makes files, and types of text.

Other people's programs read run files, too: h5dump, PyTables, R, MATLAB. So the format is that of
HDF5 1.10, the oldest one that can be read while it is written (SWMR). Newer formats add nothing
that a run file needs, and older libraries refuse them: under HDF5 2.0, libver="latest" writes
compound types that not even 1.14 reads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hybridmpi.runlog.room import check_room
from hybridmpi.runlog.schema import PAGE_BYTES

METADATA_BYTES = 2**18  # what HDF5 may add to a file, beside the data, in one flush
_LIBVER = ("v110", "v110")
# The kernel breaks a write off between two pages if the process is killed. A block of metadata that
# lies in one page is written as a whole or not at all; one half of which is new cannot be read.
_IN_PAGES = {"fs_strategy": "page", "fs_page_size": PAGE_BYTES}


@contextmanager
def create(path: Path, num_bytes: int = 0) -> Iterator[Any]:
    """Make an HDF5 file, and close it.

    Args:
        path: Where; a file that is there is replaced.
        num_bytes: Of the data that will be written. That there is room for them is seen first.

    Raises:
        OSError: If it cannot be written.
    """
    with path.open("wb") as empty:
        check_room(empty.fileno(), num_bytes + METADATA_BYTES)
    try:
        with h5py.File(path, "w", libver=_LIBVER, **_IN_PAGES) as file:
            yield file
    except RuntimeError as error:  # from HDF5
        raise OSError(str(error)) from error


def reopen(path: Path) -> Any:
    """Open a file that `create` made, to append to it in SWMR mode.

    Without a lock: a reader that opens the file must not fail the run. Without a cache of rows:
    these are to be on the disk before anything says that they are.
    """
    return h5py.File(path, "r+", libver=_LIBVER, locking=False, rdcc_nbytes=0)


def stored_type(dtype: np.dtype[Any]) -> Any:
    """Return the type that values of a numpy dtype have in the file.

    Text is UTF-8 that ends with a zero byte, as C programs expect: so the last byte of a text is
    lost if it is not zero. All else is as h5py stores it; booleans are an enumeration.
    """
    return h5py.Datatype(_type_id(dtype))


def as_stored(values: NDArray[Any]) -> NDArray[Any]:
    """Mark the text in an array as UTF-8, which HDF5 asks for: it converts no character sets."""
    return values.view(stored_type(values.dtype).dtype)


def _type_id(dtype: np.dtype[Any]) -> Any:
    if dtype.fields:
        compound = h5py.h5t.create(h5py.h5t.COMPOUND, dtype.itemsize)
        for name, (column, offset, *_) in dtype.fields.items():
            compound.insert(name.encode(), offset, _type_id(column))
        return compound
    if dtype.kind == "S":
        text = h5py.h5t.C_S1.copy()
        text.set_size(dtype.itemsize)
        text.set_strpad(h5py.h5t.STR_NULLTERM)
        text.set_cset(h5py.h5t.CSET_UTF8)
        return text
    return h5py.h5t.py_create(dtype, logical=True)
