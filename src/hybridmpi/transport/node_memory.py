"""Memory that all ranks of a node share: slots for parameters, and rows for gradients."""

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from mpi4py import MPI
from numpy.typing import NDArray

from hybridmpi.transport.frame import HEADER_BYTES, Frame, stride_of

_MARGIN_BYTES = 16 << 20  # left to others of what the folder has free


class NodeMemory:
    """Frames in a window that the ranks of one node share.

    What one rank has stored, another sees once the first has called `sync` and told it so by a
    message, or by a stamp, and it has called `sync` itself.

    Attributes:
        slots: Frames for parameters.
        rows: Frames for gradients.
        stamps: For each slot one more than the version that has landed in it whole, int64,
            [slots]; 0 before the first. Read and written as one piece.
    """

    def __init__(self, node: MPI.Intracomm, size: int, *, num_slots: int, num_rows: int) -> None:
        """Allocate and touch the memory, on all ranks of a node together.

        Args:
            node: The ranks of the node; the lowest allocates.
            size: Elements of a flat vector, parameters and buffers.
            num_slots: Number of slots.
            num_rows: Number of rows.
        """
        num_bytes = window_bytes(size, num_slots + num_rows)
        self._window = MPI.Win.Allocate_shared(num_bytes * (node.rank == 0), comm=node)
        memory, _ = self._window.Shared_query(0)
        floats = torch.frombuffer(memory, dtype=torch.float32)
        if node.rank == 0:
            floats.zero_()  # touches every page: what is not there is missed now, not in training
        # Mapped at other addresses elsewhere, but at the same place in a page.
        start = -floats.data_ptr() % HEADER_BYTES // 4
        stride, count = stride_of(size), num_slots + num_rows
        storage = floats[start : start + count * stride].view(count, stride)
        frames = [Frame(each[: HEADER_BYTES // 4 + size]) for each in storage]
        self.slots, self.rows = frames[:num_slots], frames[num_slots:]
        self.stamps: NDArray[np.int64] = storage[:num_slots].numpy().view(np.int64)[:, 0]
        self._window.Lock_all(MPI.MODE_NOCHECK)
        node.Barrier()

    def sync(self) -> None:
        """Order this rank's loads and stores before those after it."""
        self._window.Sync()

    def free(self) -> None:
        """Give the memory back, on all ranks of the node together; no tensor of it lives on."""
        self._window.Unlock_all()
        self._window.Free()


def window_bytes(size: int, count: int) -> int:
    """Return the bytes of `count` frames for vectors of `size` elements in shared memory."""
    return HEADER_BYTES + 4 * count * stride_of(size)


def shared_folder() -> Path:
    """Return the folder that holds shared memory: MPI libraries take another only without it."""
    folder = Path("/dev/shm")
    return folder if folder.is_dir() else Path(tempfile.gettempdir())


def available_bytes() -> int:
    """Return how much shared memory can be allocated on this node."""
    status = os.statvfs(shared_folder())
    return max(0, status.f_bavail * status.f_frsize - _MARGIN_BYTES)
