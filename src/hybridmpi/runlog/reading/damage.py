"""How damage to a run file is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hybridmpi.errors import UserError

# What h5py, numpy and our checks raise where a file holds something else than a run.
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, OverflowError)


@contextmanager
def damage_told(path: str | Path) -> Iterator[None]:
    """Turn what is raised where a file holds something else than a run into a message.

    Raises:
        UserError: Instead.
    """
    try:
        yield
    except MemoryError as error:
        raise UserError(
            f"'{path}' needs more memory than there is, or than a run file of its length can need; "
            "read it on a larger machine, or use another copy of it"
        ) from error
    except _DAMAGE as error:
        if "bad version number" in str(error):  # from HDF5
            raise UserError(
                f"'{path}' is damaged, or in a newer format than the HDF5 of this h5py reads: "
                f"{error}; update h5py, or write a copy that every HDF5 from 1.10 on reads, on a "
                f"machine with a newer h5py: hybridmpi export '{path}' COPY.h5"
            ) from error
        raise UserError(f"'{path}' is damaged: {error}; use another copy of it") from error
