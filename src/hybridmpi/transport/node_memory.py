"""Memory that the ranks of a node share.

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

from hybridmpi.transport.waiting import Patience, wait_until

ALIGNMENT_BYTES = 64
_SPARE_BYTES = 16 << 20  # for others, and for what the library keeps beside a window's content
_PAGE_BYTES = 4096
_LIMIT_S = 600.0  # for the first rank of a node to write what it shares
_OPEN_MPI_FOLDER = "OMPI_MCA_osc_sm_backing_directory"
_USUAL_FOLDER = Path("/dev/shm")


class NodeMemory:
    """Windows that the ranks of a node share.

    What one rank has stored, another sees once the first has called the window's `Sync` and told it
    so, and it has called `Sync` itself.

    Attributes:
        node: The ranks of this node.
    """

    def __init__(self, node: MPI.Intracomm) -> None:
        self.node = node
        self._windows: list[MPI.Win] = []

    def allocate(self, size_bytes: int) -> tuple[MPI.Win, Tensor]:
        """Return a window of zeros, and its bytes, on all ranks of the node together.

        Every page is touched, each rank taking its part: what is not there is missed now, and not
        later.

        Args:
            size_bytes: How many bytes are needed, the same on all ranks.

        Returns:
            The window, and bytes, uint8, [size_bytes], aligned to 64 bytes. They must not be used
            once the memory has been freed.
        """
        is_first = self.node.rank == 0
        window = MPI.Win.Allocate_shared((size_bytes + ALIGNMENT_BYTES) * is_first, comm=self.node)
        window.Lock_all(MPI.MODE_NOCHECK)
        self._windows.append(window)
        memory = torch.frombuffer(window.Shared_query(0)[0], dtype=torch.uint8)
        start = -memory.data_ptr() % ALIGNMENT_BYTES  # the same on all ranks: pages are mapped
        memory = memory[start : start + size_bytes]
        part = -(-size_bytes // self.node.size)
        memory[part * self.node.rank : part * (self.node.rank + 1)].zero_()
        self._meet(window)
        if is_first:  # often the server, which is not to map page after page while it trains
            memory[::_PAGE_BYTES].sum()
        return window, memory

    def share(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Return the tensors that the first rank gives, as all ranks see them; only to be read.

        Every rank of the node calls this. The tensors must not be used once the memory has been
        freed.

        Args:
            tensors: On the first rank what to share, none of them empty; ignored on the others.
        """
        kinds, size_bytes = self.node.bcast(
            ([(tensor.shape, tensor.dtype) for tensor in tensors], needed_bytes(tensors))
        )
        window, memory = self.allocate(size_bytes)
        shared = list(_cut(memory, kinds))
        if self.node.rank == 0:
            for target, tensor in zip(shared, tensors, strict=True):
                target.copy_(tensor)
        self._meet(window)
        return shared

    def free(self) -> None:
        """Free all windows, on all ranks of the node together."""
        while self._windows:
            window = self._windows.pop()
            window.Unlock_all()
            window.Free()

    def _meet(self, window: MPI.Win) -> None:
        """Wait, mostly asleep, until all ranks are here; they then see what each has stored."""
        window.Sync()
        is_done = self.node.Ibarrier().Test
        if not wait_until(is_done, Patience(shares_cores=True), _LIMIT_S):
            raise TimeoutError(f"a rank of this node has not shared its data in {_LIMIT_S:.0f} s")
        window.Sync()


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
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
