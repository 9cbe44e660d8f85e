"""The end of a run: workers sleep until the server has evaluated it, and lets them go."""

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
from mpi4py import MPI

from hybridmpi.engines.mpi.agreement import wait
from hybridmpi.transport.losses import is_done, lost_ranks, survives_losses
from hybridmpi.transport.waiting import Patience, wait_until

_TAG = 12
_LAST_WORD_S = 1.0


class Word(IntEnum):
    """What the server says last."""

    DONE = 0
    FAILED = 1  # it ends, and has said why


def let_go(comm: MPI.Intracomm, workers: Iterable[int], word: Word) -> None:
    """Say the last word to these workers, which wait for it, or are about to lose the server."""
    message = np.array([word], np.int32)
    sends = [comm.Isend(message, worker, _TAG) for worker in workers]
    limit_s = _LAST_WORD_S if word is Word.FAILED else np.inf
    wait_until(lambda: all(is_done(send) for send in sends), Patience(shares_cores=True), limit_s)


def ends_alone() -> bool:
    """Say whether a rank ends without MPI_Finalize, which may wait for a lost one for ever."""
    return survives_losses()


def lost_ranks_of_world() -> list[int]:
    """Return the ranks of this world that MPI knows to be lost."""
    return lost_ranks(MPI.COMM_WORLD)


class Farewell:
    """A worker's end of it; expected from the beginning, so that it is here if the server fails."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._message = np.zeros(1, np.int32)
        self._request = comm.Irecv(self._message, 0, _TAG)

    def wait(self) -> None:
        """Wait until the server lets this worker end."""
        wait(self._request.Test)

    def has_failed(self) -> bool:
        """Say whether the server, which is lost, has failed and said why."""
        return is_done(self._request) and self._message[0] == Word.FAILED
