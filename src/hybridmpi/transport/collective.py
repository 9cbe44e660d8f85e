"""Every version by one nonblocking broadcast over all ranks, whoever waits for it.

A release is a header alone: it names the version that the worker must at least have. The worker
takes part in the broadcasts one after the other and computes on the newest. The last broadcast
says stop, so that every broadcast that a rank has begun ends.

Once a worker is lost nothing is broadcast any more: each release is followed by its version as a
rescue, to who is released alone.
"""

from collections.abc import Sequence

from mpi4py import MPI

from hybridmpi.transport.frame import Action, Form, Tag, frames
from hybridmpi.transport.losses import is_done, lost_ranks
from hybridmpi.transport.messages import MessageServer, MessageWorker, Slot
from hybridmpi.transport.waiting import Patience, wait_until

MOST_OUTSTANDING = 4
BROADCAST_LIMIT_S = 300.0


class CollectiveServer(MessageServer):
    """Rank 0's end of the transport with collective broadcasts."""

    def __init__(
        self, comm: MPI.Intracomm, size: int, *, patience: Patience, broadcasts: MPI.Intracomm
    ) -> None:
        """See `MessageServer`."""
        super().__init__(comm, size, patience=patience, broadcasts=broadcasts)
        self._outstanding: list[MPI.Request] = []
        self._has_stopped = False

    def publish(self, version: int) -> None:
        """Put the next parameters in force and broadcast them, once fewer than 4 are on the way."""
        super().publish(version)
        if self._broadcasts is not None:
            self._announce(self._broadcasts, self._slot)

    def release(self, workers: Sequence[int], *, all_wait: bool) -> None:
        """Allow these workers to go on from the version in force."""
        del all_wait
        workers = self._present(workers)
        self._send_headers(workers, Action.COMPUTE, Form.COLLECTIVE)
        if self._broadcasts is None:
            self._send(self._slot, self._slot.frame.whole, workers, Tag.RESCUE)

    def stop(self, workers: Sequence[int]) -> None:
        """Tell these workers that the run is over."""
        if self._broadcasts is None:
            super().stop(workers)
            return
        if not self._has_stopped:
            self._has_stopped = True
            last = self._free_slot()  # may be computed on by who has just been released
            self._left.append(last)
            last.frame.vector.copy_(self.parameters)
            last.frame.write_release(self._version, Action.STOP, Form.COLLECTIVE)
            self._announce(self._broadcasts, last)
        self._send_headers(workers, Action.STOP, Form.COLLECTIVE)

    def _announce(self, ranks: MPI.Intracomm, slot: Slot) -> None:
        if not wait_until(self._has_room, self._patience, BROADCAST_LIMIT_S):
            raise TimeoutError(
                f"{MOST_OUTSTANDING} broadcasts have not ended within {BROADCAST_LIMIT_S:.0f} s; "
                "a worker takes no part in them"
            )
        if not lost_ranks(self._comm):
            self._outstanding.append(self._broadcast(ranks, slot))

    def _has_room(self) -> bool:
        self._outstanding = [request for request in self._outstanding if not is_done(request)]
        return len(self._outstanding) < MOST_OUTSTANDING or bool(lost_ranks(self._comm))


class CollectiveWorker(MessageWorker):
    """A worker's end of the transport with collective broadcasts."""

    def __init__(
        self,
        comm: MPI.Intracomm,
        size: int,
        *,
        patience: Patience,
        can_be_cancelled: bool,
        broadcasts: MPI.Intracomm,
        losses: Sequence[int] = (),
    ) -> None:
        """Begin to take part in the first broadcast."""
        super().__init__(
            comm,
            size,
            patience=patience,
            can_be_cancelled=can_be_cancelled,
            broadcasts=broadcasts,
            losses=losses,
            landing_size=0,
        )
        self.may_write = False  # the next release may be for the same version
        self._newest, self._coming = frames(2, size)
        self._version = -1
        self._has_ended = False
        self._join_next()

    def wait_release(self) -> int | None:
        """Wait to be released; return the version of `parameters`, the newest, or None to stop.

        Who waits takes part in broadcasts: the server may wait for room before it releases anyone.
        """
        self._patience.reset()
        while not self._release.Test():  # which fails if the server is lost
            self._take_newer()
            self._patience.pause()
        release = self._next_release().read_release()
        if release.action == Action.STOP:
            if release.form == Form.COLLECTIVE:
                self._drain()
            return None
        while self._version < release.version:
            rescue = self._unless_rescued(self._has_come_next, release)
            if rescue is None:
                self._take()
            else:
                self._newest, self._version = rescue, rescue.read_release().version
                self._has_ended = True
        self._take_newer()
        self.parameters = self._newest.vector
        return self._version

    def is_released(self) -> bool:
        """Say, without waiting, whether a release has come, and let messages progress."""
        self._has_come_next()
        return super().is_released()

    def _drain(self) -> None:
        """Take part in what is still on its way, unless a loss has broken it."""
        self._patience.reset()
        while not (self._has_ended or self._are_broadcasts_broken or lost_ranks(self._comm)):
            if self._has_come_next():
                self._take()
            else:
                self._patience.pause()

    def _take_newer(self) -> None:
        """Go on to the newest version that has come.

        Not where a worker can be cancelled: it keeps to the version of its release, since that is
        how the server tells a push that crossed a cancellation from one that came after it.
        """
        while not self._can_be_cancelled and self._has_come_next():
            self._take()

    def _take(self) -> None:
        self._newest, self._coming = self._coming, self._newest
        release = self._newest.read_release()
        self._version, self._has_ended = release.version, release.action == Action.STOP
        if not self._has_ended:
            self._join_next()

    def _has_come_next(self) -> bool:
        return not self._has_ended and self._has_come(self._incoming)

    def _join_next(self) -> None:
        self._incoming = self._join_broadcast(self._coming)
