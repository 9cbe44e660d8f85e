"""Making sure that a file can grow."""

import errno
import os

_PIECE_BYTES = 2**24  # one write takes at most 2 GiB


def check_room(file_descriptor: int, num_bytes: int) -> None:
    """Grow a file by `num_bytes` and shrink it again, to see that disk and quota allow it.

    HDF5 does not recover from a write that fails: the file cannot be read any more, not even what
    was flushed before, and the process may crash when it closes it. So it must not come to that.

    Raises:
        OSError: If there is no room.
    """
    end = os.fstat(file_descriptor).st_size
    zeros = memoryview(bytes(min(num_bytes, _PIECE_BYTES)))
    try:
        for offset in range(0, num_bytes, _PIECE_BYTES):
            piece = zeros[: num_bytes - offset]
            if os.pwrite(file_descriptor, piece, end + offset) < len(piece):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.ftruncate(file_descriptor, end)
