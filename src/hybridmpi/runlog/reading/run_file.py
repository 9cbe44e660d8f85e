"""Opening a run file for reading, whatever became of its writer."""

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hybridmpi.errors import UserError
from hybridmpi.runlog.reading.damage import damage_told
from hybridmpi.runlog.reading.superblock import SWMR_WRITING, WRITING, writer_flags
from hybridmpi.runlog.schema import SCHEMA_VERSION

# Between two states of its writer a file cannot be opened, for some milliseconds.
_CHANGING_S = 1.0
_READ_ATTEMPTS = 26  # of metadata that are being written; the last after 30 ms


@contextmanager
def open_run_file(path: Path) -> Iterator[Any]:
    """Open a run file that is complete, being written, or left behind by a killed process.

    Raises:
        UserError: If it is not there, is no run file, is damaged or has another schema version.
    """
    with damage_told(path), _open(path) as file:
        _check_schema(path, file)
        yield file


def _open(path: Path) -> Any:
    """Open a file, once its writer neither begins nor ends to write."""
    deadline_s = time.monotonic() + _CHANGING_S
    while True:
        flags = writer_flags(path)
        try:
            # A killed writer leaves its flags set, and then HDF5 opens the file only in SWMR mode.
            return _open_in_swmr_mode(path) if flags & SWMR_WRITING else _open_at_rest(path)
        except OSError as error:
            is_changing = flags & WRITING and not flags & SWMR_WRITING
            if not is_changing and writer_flags(path) == flags:
                raise
            if time.monotonic() > deadline_s:
                raise UserError(
                    f"'{path}' is being closed by the process that wrote it; try again, or if that "
                    f"process was killed, mend the file with: h5clear --status '{path}'"
                ) from error
        time.sleep(_CHANGING_S / 50)


def _open_at_rest(path: Path) -> Any:
    return h5py.File(path, "r", locking=False)


def _open_in_swmr_mode(path: Path) -> Any:
    """Open a file that is being written, or was when its process was killed.

    What HDF5 finds damaged it then reads again, 100 times, each time after a pause twice as long:
    with metadata that stay damaged that takes for ever. h5py has no name for the limit, but HDF5.
    """
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_file_locking(False, True)
    library = ctypes.CDLL(h5py.h5p.__file__)
    with suppress(AttributeError):  # an h5py that hides the HDF5 within it
        limit = library.H5Pset_metadata_read_attempts
        limit(ctypes.c_int64(access.id), ctypes.c_uint(_READ_ATTEMPTS))
    flags = h5py.h5f.ACC_RDONLY | h5py.h5f.ACC_SWMR_READ
    return h5py.File(h5py.h5f.open(os.fsencode(path), flags, access))


def _check_schema(path: Path, file: Any) -> None:
    major = file.attrs.get("schema_version")
    if major is None:
        raise UserError(f"'{path}' was not written by hybridmpi; name one of its run files")
    if not isinstance(major, np.integer) or major < 1:
        raise ValueError(f"its schema version is {major}")
    if major > SCHEMA_VERSION:
        raise UserError(
            f"'{path}' has schema version {major}, but this hybridmpi reads versions up to "
            f"{SCHEMA_VERSION}; update hybridmpi, since a newer one wrote the file"
        )
