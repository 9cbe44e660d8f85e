"""Checks that a machine can train: each looks at one thing and says how to mend it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from hybridmpi.doctor import files, learning, machine, mpi
from hybridmpi.doctor.check import Check, guarded

_LIMIT_S = 60.0
_RANKS_LIMIT_S = mpi.RANKS_LIMIT_S + 2 * _LIMIT_S  # it finds mpirun and the library first


def diagnose(data_roots: Sequence[Path], output: Path) -> Iterator[Check]:
    """Examine this machine, one check after the other; none raises or hangs.

    Args:
        data_roots: Folders to look for data sets in.
        output: The folder that run files are to be written to; it need not exist.
    """
    checks: list[tuple[str, Callable[[], Check]]] = [
        (learning.PYTHON, learning.python),
        (mpi.LIBRARY, mpi.library),
        (mpi.MPIRUN, mpi.mpirun),
        (mpi.RANKS, mpi.ranks),
        (learning.TORCH, learning.torch),
        (learning.TORCHVISION, learning.torchvision),
        (machine.CORES, machine.cores),
        (machine.MEMORY, machine.memory),
        (machine.SHARED_MEMORY, machine.shared_memory),
        *((files.DATA, partial(files.data, root)) for root in data_roots),
        (files.OUTPUT, partial(files.output, output)),
    ]
    for name, examine in checks:
        yield guarded(name, examine, _RANKS_LIMIT_S if examine is mpi.ranks else _LIMIT_S)
