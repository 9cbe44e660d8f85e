"""The first bytes of an HDF5 file: whether it is one, whole, and closed."""

import struct
from pathlib import Path

from hybridmpi.errors import UserError, nearest
from hybridmpi.runlog.schema import PAGE_BYTES

# The superblock of an HDF5 file that can be in SWMR mode, version 3: signature, version, two sizes,
# flags of the writer, base address, address of the extension, end of file. HDF5 file format
# specification, section II.A.
_SUPERBLOCK = struct.Struct("<8sBBBBQQQ")
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
WRITING, SWMR_WRITING = 1, 4


def is_closed(path: Path) -> bool:
    """Say whether a run file is there, and its writer has closed it."""
    try:
        return not writer_flags(path)
    except UserError:
        return False


def writer_flags(path: Path) -> int:
    """Read the superblock, since HDF5 in SWMR mode waits for the rest of a file cut off.

    Returns:
        `WRITING` and `SWMR_WRITING`, if its writer is at it, or was when it was killed.

    Raises:
        UserError: If it is not there, no HDF5 file, or cut off.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_SUPERBLOCK.size)
    except FileNotFoundError:
        raise UserError(f"'{path}' is not there; {_others_in(path.parent, path.name)}") from None
    except OSError as error:
        raise UserError(f"cannot read '{path}': {error.strerror}; name a run file") from error
    if head[: len(_SIGNATURE)] != _SIGNATURE:
        raise UserError(f"'{path}' is not an HDF5 file; name a run file of hybridmpi")
    if len(head) < _SUPERBLOCK.size:
        raise _cut_off(path, len(head))
    _, version, _, _, flags, _, _, end = _SUPERBLOCK.unpack(head)
    if version < 3:  # older forms lay these fields out otherwise
        return 0
    num_bytes = path.stat().st_size
    if num_bytes < end - (PAGE_BYTES if flags & SWMR_WRITING else 0):  # the last is not yet full
        raise _cut_off(path, num_bytes)
    return int(flags)


def _cut_off(path: Path, num_bytes: int) -> UserError:
    return UserError(
        f"'{path}' is cut off after {num_bytes} bytes; copy it again, whole, or repeat the run"
    )


def _others_in(folder: Path, name: str) -> str:
    others = [other.name for other in folder.glob("*.h5")]
    return nearest(name, others) if others else f"there are no .h5 files in '{folder}'"
