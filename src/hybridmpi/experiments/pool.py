"""Processes that make runs: of this machine, or the ranks of mpi4py.futures."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

from hybridmpi.environment import leave_safe_path, safe_path


def is_on_ranks() -> bool:
    """Say whether this is `mpirun -n N python -m mpi4py.futures -m hybridmpi ...`, with N > 1."""
    if "mpi4py.futures" not in sys.modules:
        return False
    from mpi4py import MPI

    return MPI.COMM_WORLD.size > 1


@contextmanager
def pool(processes: int) -> Iterator[Executor]:
    """Yield an executor, and wait at the end for what it still does.

    Args:
        processes: Processes to start; ranks that are there already take their place.
    """
    if is_on_ranks():
        from mpi4py.futures import MPIPoolExecutor

        with MPIPoolExecutor(initializer=_begin) as ranks:
            yield ranks
        return
    processes_of = multiprocessing.get_context("spawn")
    with (
        safe_path(),
        ProcessPoolExecutor(processes, mp_context=processes_of, initializer=_begin) as executor,
    ):
        with _ignored(signal.SIGINT):  # which could come before _begin does
            executor.submit(os.getpid)
        yield executor


def _begin() -> None:
    """Leave signals to the process that hands out the work, and end if that is gone."""
    leave_safe_path()
    parent = multiprocessing.parent_process()
    if parent is None:  # a rank, to which mpirun forwards SIGUSR1
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    else:
        os.setsid()  # away from the terminal's Ctrl-C
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def _ignored(number: signal.Signals) -> Iterator[None]:
    handler = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, handler)
