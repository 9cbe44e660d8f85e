"""The end of a run: workers sleep until the server has evaluated it, and lets them go."""

from collections.abc import Iterable

import numpy as np
from mpi4py import MPI

from hybridmpi.engines.mpi.agreement import wait
from hybridmpi.transport.losses import is_done, lost_ranks
from hybridmpi.transport.waiting import Patience, wait_until

_TAG = 12
_NEWS_LIMIT_S = 5.0


def let_go(comm: MPI.Intracomm, workers: Iterable[int], *, is_whole: bool) -> None:
    """Let these workers end.

    Args:
        comm: The server is rank 0.
        workers: Those that wait for it.
        is_whole: Whether nobody is lost, so that all can take further steps together.
    """
    message = np.array([is_whole], np.int32)
    sends = [comm.Isend(message, worker, _TAG) for worker in workers]
    wait(lambda: all(is_done(send) for send in sends))


def lost_ranks_of_world() -> list[int]:
    """Return the ranks of this world that MPI knows to be lost."""
    return lost_ranks(MPI.COMM_WORLD)


def wait_to_be_let_go(comm: MPI.Intracomm) -> bool:
    """Wait until the server lets this worker end; return whether nobody is lost."""
    message = np.zeros(1, np.int32)
    wait(comm.Irecv(message, 0, _TAG).Test)
    if not message[0]:  # this rank may not have heard of it yet
        wait_until(lambda: bool(lost_ranks(comm)), Patience(shares_cores=True), _NEWS_LIMIT_S)
    return bool(message[0])
