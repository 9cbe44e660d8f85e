"""The end of a run: workers sleep until the server has evaluated it, and lets them go.

None leaves before all have done their part: a worker may still wait for what another passes on to
it. The server leaves last: what it has sent to a worker that has not taken it would be lost with
it.
"""

import time
from collections.abc import Callable, Collection, Sequence
from enum import IntEnum

import numpy as np
from mpi4py import MPI

from hybridmpi.engines.mpi.agreement import wait
from hybridmpi.transport.losses import is_done, lost_ranks, survives_losses
from hybridmpi.transport.waiting import Patience, wait_until

_TAG = 12
_LAST_WORD_S = 1.0
_LEAVING_S = 30.0


class Word(IntEnum):
    """What the server says last."""

    DONE = 0
    FAILED = 1  # it ends, and has said why


def let_go(
    comm: MPI.Intracomm,
    workers: Sequence[int],
    ended: Callable[[], Collection[int]] = lambda: (),
) -> None:
    """Wait until these workers have done their part, let them end, and wait until they do.

    Args:
        comm: All ranks.
        workers: Those to wait for.
        ended: Which of them have ended already, whatever MPI knows of it.
    """
    deadline_s = time.monotonic() + _LEAVING_S
    here = _heard(comm, workers)
    _wait(here, _LEAVING_S, workers, ended)
    # A worker may still be late, and its message needs its memory.
    left = [*here, *_said(comm, workers, Word.DONE), *_heard(comm, workers)]
    _wait(left, max(_LAST_WORD_S, deadline_s - time.monotonic()), [*workers] * 3, ended)


def tell_failure(comm: MPI.Intracomm, workers: Sequence[int]) -> None:
    """Tell workers, which are about to lose the server, that it has said why."""
    _wait(_said(comm, workers, Word.FAILED), _LAST_WORD_S, workers)


def _said(comm: MPI.Intracomm, workers: Sequence[int], word: Word) -> list[MPI.Request]:
    message = np.array([word], np.int32)
    return [comm.Isend(message, worker, _TAG) for worker in workers]


def _heard(comm: MPI.Intracomm, workers: Sequence[int]) -> list[MPI.Request]:
    return [comm.Irecv(np.empty(1, np.int32), worker, _TAG) for worker in workers]


def _wait(
    requests: Sequence[MPI.Request],
    limit_s: float,
    workers: Sequence[int],
    ended: Callable[[], Collection[int]] = lambda: (),
) -> None:
    """Wait for messages to and from these workers, one for each."""

    def are_done() -> bool:
        gone = ended()
        return all(
            worker in gone or is_done(request)
            for request, worker in zip(requests, workers, strict=True)
        )

    wait_until(are_done, Patience(shares_cores=True), limit_s)


def ends_alone() -> bool:
    """Say whether a rank ends without MPI_Finalize, which may wait for a lost one for ever."""
    return survives_losses()


def lost_ranks_of_world() -> list[int]:
    """Return the ranks of this world that MPI knows to be lost."""
    return lost_ranks(MPI.COMM_WORLD)


class Farewell:
    """A worker's end of it; expected from the beginning, so that it is here if the server fails."""

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._comm = comm
        self._message = np.zeros(1, np.int32)
        self._request = comm.Irecv(self._message, 0, _TAG)

    def wait(self) -> None:
        """Say that this worker has done its part, wait to be let go, and say that it leaves."""
        self._say()
        wait(self._request.Test)
        self._say()

    def has_failed(self) -> bool:
        """Say whether the server, which is lost, has failed and said why."""
        return is_done(self._request) and self._message[0] == Word.FAILED

    def _say(self) -> None:
        wait(self._comm.Isend(np.zeros(1, np.int32), 0, _TAG).Test)
