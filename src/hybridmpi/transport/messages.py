"""The message transport: gradients and parameters travel as MPI messages.

A push is matched when it arrives, and received without blocking straight into the row of the
gradient buffer that was freed last, whose memory is still in the processor's cache. A receive
posted per worker would tie up a row each, and go through all of them in turn: with vectors of
250 kB that made the server a fifth slower. At most two pushes arrive at a time, the others wait at
their workers: so three rows are always enough, with the one in which gradients add up.

A release is a header with the parameters behind it in the same message; where all active workers
wait, the header alone may go out, and the parameters by a broadcast.
"""

from collections.abc import Iterator, Sequence

from mpi4py import MPI
from torch import Tensor

from hybridmpi.core.messages import Push
from hybridmpi.transport.frame import Action, Form, Frame, Tag, frames
from hybridmpi.transport.waiting import Patience, wait_until

_DELIVERY_LIMIT_S = 30.0
_MOST_ARRIVING = 2
NUM_ROWS = _MOST_ARRIVING + 1


class Slot:
    """The parameters of one version, and who still reads them.

    Attributes:
        frame: Holds them.
        sends: Sends that may still read them.
        readers: Number of workers that compute on this very memory.
        number: Its place in shared memory.
    """

    def __init__(self, frame: Frame, number: int = 0) -> None:
        self.frame = frame
        self.number = number
        self.sends: list[MPI.Request] = []
        self.readers = 0

    def is_free(self) -> bool:
        """Say whether nobody reads them."""
        return not self.readers and self.is_sent()

    def is_sent(self) -> bool:
        """Say whether every send has ended."""
        if self.sends and MPI.Request.Testall(self.sends):
            self.sends.clear()
        return not self.sends


class MessageServer:
    """Rank 0's end of the message transport."""

    def __init__(
        self,
        comm: MPI.Intracomm,
        size: int,
        *,
        patience: Patience,
        broadcasts: bool,
        num_rows: int = NUM_ROWS,
    ) -> None:
        """Allocate rows for the pushes of all workers, ranks 1 to N of `comm`.

        Args:
            comm: Rank 0 is the server; all other ranks are workers.
            size: Elements of a flat vector, parameters and buffers.
            patience: How to wait.
            broadcasts: Whether parameters go out by a broadcast when all active workers wait.
            num_rows: Rows for pushes that come as messages.
        """
        self.bytes_sent = 0
        self._comm = comm
        self._size = size
        self._patience = patience
        self._broadcasts = broadcasts
        num_workers = comm.size - 1
        self._rows = frames(num_rows, size)
        self._free_rows = list(range(num_rows))
        self._arriving: list[MPI.Request] = []
        self._origins: list[tuple[int, int]] = []  # worker and row of what is arriving
        self._num_workers = num_workers
        self._interruption = ""
        self._version = 0
        self._slot = self._next_slot = self._new_slot()
        self._left: list[Slot] = []  # slots of older versions, some of which are still read
        self._free_slots: list[Slot] = []
        self._headers: list[Slot] = []

    @property
    def parameters(self) -> Tensor:
        """The parameters of the version in force, shape [size]."""
        return self._slot.frame.vector

    @property
    def is_full(self) -> bool:
        """Whether no more pushes can arrive until a row is given back."""
        return bool(self._rows) and not self._free_rows and not self._arriving

    def row(self, row: int) -> Tensor:
        """Return a row of the gradient buffer, shape [size]."""
        return self._rows[row].vector

    def free(self, row: int) -> None:
        """Give back a row whose gradient is no longer needed."""
        self._free_rows.append(row)

    def arrivals(self) -> Iterator[Push]:
        """Yield the pushes that have arrived since the last look, without waiting.

        A push is handed out before the next one is looked for, which may find its row free again.
        """
        status = MPI.Status()
        while self._free_rows and len(self._arriving) < _MOST_ARRIVING:
            message = self._comm.Improbe(MPI.ANY_SOURCE, Tag.PUSH, status)
            if message is None:
                break
            worker, row = status.source, self._free_rows.pop()
            request = message.Irecv((self._rows[row].whole, MPI.FLOAT))
            if request.Test():
                yield self._rows[row].read_push(worker, row)
            else:
                self._arriving.append(request)
                self._origins.append((worker, row))
        if self._arriving:
            yield from self._completed()

    def next_parameters(self) -> Tensor:
        """Return where to write the next version: the version in force itself if nobody reads it.

        Shape [size]; what it holds otherwise is of no use.
        """
        self._next_slot = self._slot if self._slot.is_free() else self._free_slot()
        return self._next_slot.frame.vector

    def publish(self, version: int) -> None:
        """Put the parameters that were written to `next_parameters` in force.

        Their header is written here, once, while nothing reads it. A send may be under way when
        another worker is released with the same version, and its receiver may be reading this very
        memory: even to write the same bytes again would let it see others for a moment.
        """
        if self._next_slot is not self._slot:
            self._left.append(self._slot)
            self._slot = self._next_slot
        self._version = version
        self._slot.frame.write_release(version, Action.COMPUTE, Form.MESSAGE)

    def release(self, workers: Sequence[int], *, all_wait: bool) -> None:
        """Send the version in force to these workers."""
        if all_wait and self._broadcasts:
            self._send_headers(workers, Action.COMPUTE, Form.COLLECTIVE)
            self._broadcast(self._slot)
            return
        self._send(self._slot, self._slot.frame.whole, workers)

    def stop(self, workers: Sequence[int]) -> None:
        """Tell these workers that the run is over."""
        self._send_headers(workers, Action.STOP, Form.MESSAGE)

    def failure(self) -> str | None:
        """Return the traceback of a worker that failed, if one did."""
        status = MPI.Status()
        if not self._comm.iprobe(tag=Tag.FAILURE, status=status):
            return None
        report: str = self._comm.recv(source=status.source, tag=Tag.FAILURE)
        return report

    def interruption(self) -> str:
        """Return the signal that asked a worker for the end of the run, if one did."""
        while self._comm.iprobe(tag=Tag.INTERRUPTION):
            self._interruption = self._comm.recv(tag=Tag.INTERRUPTION)
        return self._interruption

    def close(self) -> bool:
        """Finish what is being sent; say whether all was delivered."""
        return all(
            wait_until(slot.is_sent, self._patience, _DELIVERY_LIMIT_S)
            for slot in (*self._headers, *self._left, self._slot)
        )

    def _completed(self) -> Iterator[Push]:
        """Yield those of the arriving pushes that are here by now."""
        done = MPI.Request.Testsome(self._arriving) or ()
        origins = [self._origins[index] for index in done]
        for index in sorted(done, reverse=True):
            del self._arriving[index], self._origins[index]
        for worker, row in origins:
            yield self._rows[row].read_push(worker, row)

    def _send(self, slot: Slot, memory: memoryview, workers: Sequence[int]) -> None:
        message = (memory, MPI.FLOAT)
        slot.sends += [self._comm.Isend(message, worker, Tag.RELEASE) for worker in workers]
        self.bytes_sent += len(memory) * len(workers)

    def _send_headers(self, workers: Sequence[int], action: Action, form: Form) -> None:
        header = Slot(frames(1, 0)[0])
        header.frame.write_release(self._version, action, form)
        self._send(header, header.frame.header, workers)
        self._headers = [h for h in self._headers if not h.is_sent()] + [header]

    def _broadcast(self, slot: Slot) -> MPI.Request:
        request = self._comm.Ibcast((slot.frame.whole, MPI.FLOAT), 0)
        slot.sends.append(request)
        self.bytes_sent += len(slot.frame.whole) * self._num_workers
        return request

    def _free_slot(self) -> Slot:
        """Return a slot that no send reads, the one that was found free last.

        A worker has at most one release on its way (two while one of them cancels), so there are
        never more slots than that.
        """
        if not self._free_slots and self._left:
            MPI.Request.Testsome([send for slot in self._left for send in slot.sends])
            for slot in self._left:
                slot.sends = [send for send in slot.sends if send]
            self._free_slots = [slot for slot in self._left if not (slot.readers or slot.sends)]
            self._left = [slot for slot in self._left if slot.readers or slot.sends]
        return self._free_slots.pop() if self._free_slots else self._new_slot()

    def _new_slot(self) -> Slot:
        return Slot(frames(1, self._size)[0])


class MessageWorker:
    """A worker's end of the message transport."""

    _push_tag = Tag.PUSH

    def __init__(
        self,
        comm: MPI.Intracomm,
        size: int,
        *,
        patience: Patience,
        can_be_cancelled: bool,
        landing_size: int | None = None,
    ) -> None:
        """Post the receive for the first release.

        Args:
            comm: As the server's.
            size: Elements of a flat vector, parameters and buffers.
            patience: How to wait.
            can_be_cancelled: Whether a release may come while this worker computes; it then has
                a second frame to land in.
            landing_size: Elements behind a release's header, `size` if they are not given.
        """
        self._comm = comm
        self._patience = patience
        self._push_frame = frames(1, size)[0]
        self._can_be_cancelled = can_be_cancelled
        landing_size = size if landing_size is None else landing_size
        self._landing = frames(2 if can_be_cancelled else 1, landing_size)
        self._push = self._interruption = MPI.REQUEST_NULL
        self._post_release()
        self.parameters = self._landing[0].vector

    @property
    def gradient(self) -> Tensor:
        """Where to compute the next gradient and, behind it, the buffers; shape [size]."""
        return self._push_frame.vector

    def wait_release(self) -> int | None:
        """Wait to be released; return the version of `parameters`, or None to stop."""
        frame = self._next_release()
        release = frame.read_release()
        if release.action == Action.STOP:
            return None
        if release.form == Form.COLLECTIVE:
            self._wait(self._comm.Ibcast((frame.whole, MPI.FLOAT), 0))
        self.parameters = frame.vector
        return release.version

    def is_released(self) -> bool:
        """Say, without waiting, whether a release has come, and let messages progress."""
        return self._release != MPI.REQUEST_NULL and self._release.Get_status()

    def push(self, push: Push) -> None:
        """Send `gradient` to the server."""
        self._wait(self._push)
        if self._release == MPI.REQUEST_NULL:
            self._post_release()
        self._push_frame.write_push(push)
        self._push = self._comm.Isend((self._push_frame.whole, MPI.FLOAT), 0, self._push_tag)

    def interrupt(self, name: str) -> None:
        """Tell the server that a signal asked for the end of the run."""
        self._interruption = self._comm.isend(name, 0, Tag.INTERRUPTION)

    def fail(self, report: str, limit_s: float) -> None:
        """Send a traceback to the server, within a time limit."""
        request = self._comm.isend(report, 0, Tag.FAILURE)
        wait_until(request.Test, self._patience, limit_s)

    def close(self) -> None:
        """Finish what is being sent."""
        self._wait(self._push)
        self._wait(self._interruption)

    def _next_release(self) -> Frame:
        """Wait for a release; where it may be cancelled, expect the next one elsewhere at once.

        A release that cancels may cross a push, whose memory is then still being read.
        """
        self._wait(self._release)
        self._wait(self._push)
        frame = self._landing[0]
        if self._can_be_cancelled and frame.read_release().action != Action.STOP:
            self._landing.reverse()
            self._post_release()
        return frame

    def _post_release(self) -> None:
        message = (self._landing[0].whole, MPI.FLOAT)
        self._release = self._comm.Irecv(message, 0, Tag.RELEASE)

    def _wait(self, request: MPI.Request) -> None:
        self._patience.reset()
        while not request.Test():
            self._patience.pause()
