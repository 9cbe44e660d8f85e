"""The end of a run: workers sleep until the server has evaluated it, and lets them go."""

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
from mpi4py import MPI

from hybridmpi.engines.mpi.agreement import wait
from hybridmpi.transport.losses import is_done, lost_ranks
from hybridmpi.transport.waiting import Patience, wait_until

_TAG = 12
_NEWS_LIMIT_S = 5.0
_LAST_WORD_S = 1.0


class Word(IntEnum):
    """What the server says last."""

    ALL_ARE_HERE = 0
    SOME_ARE_LOST = 1  # so that no further step can be taken together
    FAILED = 2  # it ends, and has said why


def let_go(comm: MPI.Intracomm, workers: Iterable[int], word: Word) -> None:
    """Say the last word to these workers, which wait for it, or are about to lose the server."""
    message = np.array([word], np.int32)
    sends = [comm.Isend(message, worker, _TAG) for worker in workers]
    limit_s = _LAST_WORD_S if word is Word.FAILED else np.inf
    wait_until(lambda: all(is_done(send) for send in sends), Patience(shares_cores=True), limit_s)


def lost_ranks_of_world() -> list[int]:
    """Return the ranks of this world that MPI knows to be lost."""
    return lost_ranks(MPI.COMM_WORLD)


class Farewell:
    """A worker's end of it; expected from the beginning, so that it is here if the server fails."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._comm = comm
        self._message = np.zeros(1, np.int32)
        self._request = comm.Irecv(self._message, 0, _TAG)

    def wait(self) -> bool:
        """Wait until the server lets this worker end; return whether nobody is lost."""
        wait(self._request.Test)
        is_whole = self._message[0] == Word.ALL_ARE_HERE
        if not is_whole:  # this rank may not have heard of it yet
            patience = Patience(shares_cores=True)
            wait_until(lambda: bool(lost_ranks(self._comm)), patience, _NEWS_LIMIT_S)
        return bool(is_whole)

    def has_failed(self) -> bool:
        """Say whether the server, which is lost, has failed and said why."""
        return is_done(self._request) and self._message[0] == Word.FAILED
