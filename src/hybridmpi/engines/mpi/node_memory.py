"""Memory that the ranks of a node share: tensors of the first rank, which all others read in place.

A window is backed by a file in a folder of limited size, a container's often of 64 MB. MPI may
allocate one that is larger, and a rank that then touches its pages dies of SIGBUS: so look at
`room_bytes` first. Open MPI and MPICH remove the file's name once all ranks have mapped it, so that
nothing is left behind however the ranks end.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from mpi4py import MPI
from torch import Tensor

from hybridmpi.engines.mpi.agreement import barrier

_ALIGNMENT_BYTES = 64
_SPARE_BYTES = 1 << 20  # for what the library keeps beside a window's content
_OPEN_MPI_FOLDER = "OMPI_MCA_osc_sm_backing_directory"
_USUAL_FOLDER = Path("/dev/shm")


class NodeMemory:
    """Shares tensors among the ranks of a node.

    Attributes:
        node: The ranks of this node.
    """

    def __init__(self, node: MPI.Intracomm) -> None:
        self.node = node
        self._windows: list[MPI.Win] = []

    def share(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the tensors that the first rank gives, as all ranks see them; only to be read.

        Every rank of the node calls this. The tensors lie in the window and must not be used once
        it has been freed.

        Args:
            tensors: On the first rank what to share, none of them empty; ignored on the others.
        """
        kinds = self.node.bcast([(tensor.shape, tensor.dtype) for tensor in tensors])
        own_bytes = needed_bytes(tensors) if self.node.rank == 0 else 0
        window = MPI.Win.Allocate_shared(own_bytes, comm=self.node)
        self._windows.append(window)
        shared = list(_cut(torch.frombuffer(window.Shared_query(0)[0], dtype=torch.uint8), kinds))
        if self.node.rank == 0:
            for target, tensor in zip(shared, tensors, strict=True):
                target.copy_(tensor)
        barrier(self.node)  # asleep, unlike in the fence, while the first rank writes
        window.Fence()
        return shared

    def free(self) -> None:
        """Free the windows, on all ranks of the node together."""
        while self._windows:
            self._windows.pop().Free()


def needed_bytes(tensors: Sequence[Tensor]) -> int:
    """Return how large a window for these tensors is."""
    return sum(_aligned(tensor.nbytes) for tensor in tensors)


def room_bytes() -> int:
    """Return how large a window may be here."""
    found = os.statvfs(backing_folder())
    return max(0, found.f_bavail * found.f_frsize - _SPARE_BYTES)


def backing_folder() -> Path:
    """Return the folder whose space windows take: the choice of Open MPI and of MPICH."""
    if named := os.environ.get(_OPEN_MPI_FOLDER):
        return Path(named)
    return _USUAL_FOLDER if os.access(_USUAL_FOLDER, os.W_OK) else Path(tempfile.gettempdir())


def _cut(memory: Tensor, kinds: Sequence[tuple[torch.Size, torch.dtype]]) -> Iterator[Tensor]:
    """Yield tensors of these shapes and types one after the other out of bytes, shape [size]."""
    start = 0
    for shape, dtype in kinds:
        end = start + shape.numel() * dtype.itemsize
        yield memory[start:end].view(dtype).view(shape)
        start = _aligned(end)


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
