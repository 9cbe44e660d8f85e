"""The message transport: gradients and parameters travel as MPI messages.

A push is matched when it arrives, and received without blocking straight into the row of the
gradient buffer that was freed last, whose memory is still in the processor's cache. A receive
posted per worker would tie up a row each, and go through all of them in turn: with vectors of
250 kB that made the server a fifth slower. At most two pushes arrive at a time, the others wait at
their workers: so three rows are always enough, with the one in which gradients add up.

A release is a header with the parameters behind it in the same message; where all active workers
wait, the header alone may go out, and the parameters by a broadcast.

A worker that is lost is heard of no more, and told nothing. Whoever may wait for it to pass a
version on is sent one directly, a rescue; from then on nothing goes by way of other workers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from mpi4py import MPI
from torch import Tensor

from hybridmpi.core.messages import Push
from hybridmpi.transport.frame import Action, Form, Frame, ReleaseHeader, Tag, frames
from hybridmpi.transport.losses import are_done, is_done, lost_ranks, raise_unless_loss, reap
from hybridmpi.transport.waiting import Patience, wait_until

_DELIVERY_LIMIT_S = 30.0
_DELIVERY_AFTER_LOSS_S = 1.0  # to a lost worker that still lives nothing may ever be delivered
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
        if self.sends and are_done(self.sends):
            self.sends.clear()
        return not self.sends


class Arriving(NamedTuple):
    """A push that is being received into a row."""

    request: MPI.Request
    worker: int
    row: int


class MessageServer:
    """Rank 0's end of the message transport."""

    def __init__(
        self,
        comm: MPI.Intracomm,
        size: int,
        *,
        patience: Patience,
        broadcasts: MPI.Intracomm | None,
        num_rows: int = NUM_ROWS,
    ) -> None:
        """Allocate rows for the pushes of all workers, ranks 1 to N of `comm`.

        Args:
            comm: Rank 0 is the server; all other ranks are workers. Nothing collective goes by it.
            size: Elements of a flat vector, parameters and buffers.
            patience: How to wait.
            broadcasts: The same ranks, if parameters go out by a broadcast when all active workers
                wait.
            num_rows: Rows for pushes that come as messages.
        """
        self.bytes_sent = 0
        self._comm = comm
        self._size = size
        self._patience = patience
        self._broadcasts = broadcasts
        self._rows = frames(num_rows, size)
        self._free_rows = list(range(num_rows))
        self._arriving: list[Arriving] = []
        self._everyone = range(1, comm.size)
        self._lost: set[int] = set()
        self._num_acknowledged = 0
        self._retired: list[tuple[Arriving, Frame]] = []
        self._rescues: list[Slot] = []
        self._told_losses: list[MPI.Request] = []
        self._num_told_losses = 0
        self._is_disturbed = False  # whether MPI has raised an error that says that a rank is lost
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
            try:
                message = self._comm.Improbe(MPI.ANY_SOURCE, Tag.PUSH, status)
            except MPI.Exception as error:
                self._note_loss(error)
                break
            if message is None:
                break
            worker, row = status.source, self._free_rows.pop()
            request = message.Irecv((self._rows[row].whole, MPI.FLOAT))
            is_whole = self._outcome(request)
            if is_whole is None:
                self._arriving.append(Arriving(request, worker, row))
            else:
                yield from self._accepted(worker, row, is_whole=is_whole)
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
        self._slot.frame.write_release(version, Action.COMPUTE, Form.MESSAGE, self._num_told_losses)

    def release(self, workers: Sequence[int], *, all_wait: bool) -> None:
        """Send the version in force to these workers."""
        if all_wait and self._broadcasts is not None:
            self._send_headers(workers, Action.COMPUTE, Form.COLLECTIVE)
            self._broadcast(self._broadcasts, self._slot)
            return
        self._send(self._slot, self._slot.frame.whole, self._present(workers))

    def stop(self, workers: Sequence[int]) -> None:
        """Tell these workers that the run is over."""
        self._send_headers(self._present(workers), Action.STOP, Form.MESSAGE)

    def failure(self) -> str | None:
        """Return the traceback of a worker that failed, if one did."""
        return self._told(Tag.FAILURE)

    def interruption(self) -> str:
        """Return the signal that asked a worker for the end of the run, if one did."""
        while (name := self._told(Tag.INTERRUPTION)) is not None:
            self._interruption = name
        return self._interruption

    @property
    def is_disturbed(self) -> bool:
        """Whether `losses` has something new to say."""
        return self._is_disturbed

    def losses(self, ended: Iterable[int] = ()) -> list[int]:
        """Return the workers whose processes have ended, once each.

        Args:
            ended: Those that are known to have, whatever MPI says of them.
        """
        self._is_disturbed = False
        known = lost_ranks(self._comm)
        if len(known) > self._num_acknowledged:
            self._num_acknowledged = len(known)
            self._comm.Ack_failed()  # until then whoever may hear of any rank hears of this instead
        found = [rank for rank in sorted({*known, *ended}) if rank not in self._lost]
        for worker in found:
            self.lose(worker)
        return found

    def lose(self, worker: int) -> None:
        """Expect nothing more of a worker; should it speak again, it is told to stop."""
        self._lost.add(worker)
        for arriving in [each for each in self._arriving if each.worker == worker]:
            # It may never end, and then its row is never to be used again.
            self._arriving.remove(arriving)
            self._retired.append((arriving, self._rows[arriving.row]))
            (self._rows[arriving.row],) = frames(1, self._size)
            self._free_rows.append(arriving.row)
        if self._broadcasts is not None:
            self._broadcasts = None
            self._rescue()

    def share_out_anew(self, lost: int) -> None:
        """Tell all workers that the shard of a lost one is shared out among those that are left.

        Each hears of it with its next release, or the one after.
        """
        self._num_told_losses += 1
        message = np.array([lost])
        self._told_losses = [send for send in self._told_losses if not is_done(send)] + [
            self._isend((message, MPI.INT64_T), worker, Tag.LOSS)
            for worker in self._present(self._everyone)
        ]

    def close(self) -> bool:
        """Finish what is being sent; say whether all was delivered."""
        limit_s = _DELIVERY_AFTER_LOSS_S if self._lost else _DELIVERY_LIMIT_S
        return all(
            wait_until(slot.is_sent, self._patience, limit_s)
            for slot in (*self._headers, *self._left, self._slot)
        )

    def _completed(self) -> Iterator[Push]:
        """Yield those of the arriving pushes that are here by now."""
        for arriving in tuple(self._arriving):
            is_whole = self._outcome(arriving.request)
            if is_whole is not None:
                self._arriving.remove(arriving)
                yield from self._accepted(arriving.worker, arriving.row, is_whole=is_whole)

    def _accepted(self, worker: int, row: int, *, is_whole: bool) -> Iterator[Push]:
        """Yield a push that is whole and expected; of any other, take the row back."""
        if is_whole and worker not in self._lost:
            yield self._rows[row].read_push(worker, row)
            return
        self._free_rows.append(row)
        if worker in self._lost:
            self._send_headers([worker], Action.STOP, Form.MESSAGE)

    def _outcome(self, request: MPI.Request) -> bool | None:
        """Say whether a message is whole, or its sender lost; None while it is on its way."""
        try:
            return True if request.Test() else None
        except MPI.Exception as error:
            self._note_loss(error)
            return False

    def _note_loss(self, error: MPI.Exception) -> None:
        raise_unless_loss(error)
        self._is_disturbed = True

    def _told(self, tag: Tag) -> str | None:
        """Return what a worker has told under a tag, if one did."""
        status = MPI.Status()
        try:
            if not self._comm.iprobe(tag=tag, status=status):
                return None
            told: str = self._comm.recv(source=status.source, tag=tag)
            return told
        except MPI.Exception as error:
            self._note_loss(error)
            return None

    def _present(self, workers: Sequence[int]) -> Sequence[int]:
        """Return those of the workers that are not lost."""
        return [worker for worker in workers if worker not in self._lost] if self._lost else workers

    def _isend(self, message: Any, worker: int, tag: Tag) -> MPI.Request:
        try:
            return self._comm.Isend(message, worker, tag)
        except MPI.Exception as error:
            self._note_loss(error)
            return MPI.REQUEST_NULL

    def _send(
        self, slot: Slot, memory: memoryview, workers: Sequence[int], tag: Tag = Tag.RELEASE
    ) -> None:
        message = (memory, MPI.FLOAT)
        slot.sends += [self._isend(message, worker, tag) for worker in workers]
        self.bytes_sent += len(memory) * len(workers)

    def _rescue(self) -> None:
        """Send the version in force to all workers, of whom some may wait for a lost one."""
        rescue = Slot(frames(1, self._size)[0])
        rescue.frame.vector.copy_(self.parameters)
        rescue.frame.write_release(
            self._version, Action.COMPUTE, Form.MESSAGE, self._num_told_losses
        )
        self._rescues = [each for each in self._rescues if not each.is_sent()] + [rescue]
        self._send(rescue, rescue.frame.whole, self._present(self._everyone), Tag.RESCUE)

    def _send_headers(self, workers: Sequence[int], action: Action, form: Form) -> None:
        header = Slot(frames(1, 0)[0])
        header.frame.write_release(self._version, action, form, self._num_told_losses)
        self._send(header, header.frame.header, workers)
        self._headers = [h for h in self._headers if not h.is_sent()] + [header]

    def _broadcast(self, ranks: MPI.Intracomm, slot: Slot) -> MPI.Request:
        try:
            request = ranks.Ibcast((slot.frame.whole, MPI.FLOAT), 0)
        except MPI.Exception as error:
            self._note_loss(error)
            return MPI.REQUEST_NULL
        slot.sends.append(request)
        self.bytes_sent += len(slot.frame.whole) * len(self._everyone)
        return request

    def _free_slot(self) -> Slot:
        """Return a slot that no send reads, the one that was found free last.

        A worker has at most one release on its way (two while one of them cancels), so there are
        never more slots than that.
        """
        if not self._free_slots and self._left:
            reap([send for slot in self._left for send in slot.sends])
            for slot in self._left:
                slot.sends = [send for send in slot.sends if send]
            self._free_slots = [slot for slot in self._left if not (slot.readers or slot.sends)]
            self._left = [slot for slot in self._left if slot.readers or slot.sends]
        return self._free_slots.pop() if self._free_slots else self._new_slot()

    def _new_slot(self) -> Slot:
        return Slot(frames(1, self._size)[0])


class MessageWorker:
    """A worker's end of the message transport.

    Attributes:
        losses: The workers that are lost, in order, among whose fellows their shards are shared
            out; -w says that worker w is back, with its own.
        may_write: Whether a model may change `parameters`: each release then brings them again,
            into the same memory (except after the loss of a worker), which nobody else reads.
    """

    _push_tag = Tag.PUSH

    def __init__(
        self,
        comm: MPI.Intracomm,
        size: int,
        *,
        patience: Patience,
        can_be_cancelled: bool,
        broadcasts: MPI.Intracomm | None = None,
        losses: Sequence[int] = (),
        landing_size: int | None = None,
    ) -> None:
        """Post the receive for the first release.

        Args:
            comm: As the server's.
            size: Elements of a flat vector, parameters and buffers.
            patience: How to wait.
            can_be_cancelled: Whether a release may come while this worker computes; it then has
                a second frame to land in.
            broadcasts: As the server's.
            losses: What is known of losses before.
            landing_size: Elements behind a release's header, `size` if they are not given.
        """
        self.losses = list(losses)
        self.may_write = not can_be_cancelled
        self._num_told_losses = 0
        self._comm = comm
        self._size = size
        self._patience = patience
        self._push_frame = frames(1, size)[0]
        self._can_be_cancelled = can_be_cancelled
        self._broadcasts = broadcasts
        landing_size = size if landing_size is None else landing_size
        self._landing = frames(2 if can_be_cancelled else 1, landing_size)
        self._retired: list[tuple[Frame, MPI.Request]] = []
        self._are_broadcasts_broken = False
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
            broadcast = self._join_broadcast(frame)
            rescue = self._unless_rescued(lambda: self._has_come(broadcast), release)
            if rescue is not None:
                self._retire(frame, broadcast)
                frame = rescue
        self.parameters = frame.vector
        return frame.read_release().version

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
        """Finish what is being sent, and take what nobody needs any more."""
        self._wait(self._push)
        self._wait(self._interruption)
        while self._comm.Iprobe(0, Tag.RESCUE):
            self._take_rescue()

    def _next_release(self) -> Frame:
        """Wait for a release; where it may be cancelled, expect the next one elsewhere at once.

        A release that cancels may cross a push, whose memory is then still being read.
        """
        self._wait(self._release)
        self._wait(self._push)
        frame = self._landing[0]
        release = frame.read_release()
        if self._can_be_cancelled and release.action != Action.STOP:
            self._landing.reverse()
            self._post_release()
        while self._num_told_losses < release.losses:
            self._num_told_losses += 1
            lost = np.empty(1, np.int64)
            self._wait(self._comm.Irecv((lost, MPI.INT64_T), 0, Tag.LOSS))
            self.losses.append(int(lost[0]))
        return frame

    def _unless_rescued(self, has_come: Callable[[], bool], release: ReleaseHeader) -> Frame | None:
        """Wait for a version that other workers pass on.

        Returns:
            None once it has come; or a frame with this version or a newer one, which the server has
            sent itself since a worker is lost that may have had to pass it on.
        """
        self._patience.reset()
        while not has_come():
            if self._comm.Iprobe(0, Tag.RESCUE):
                rescue = self._take_rescue()
                if rescue.read_release().version >= release.version:
                    return rescue
            self._patience.pause()
        return None

    def _retire(self, frame: Frame, broadcast: MPI.Request) -> None:
        """Land elsewhere from now on: a broken broadcast may still write to this frame."""
        self._retired.append((frame, broadcast))
        (self._landing[self._landing.index(frame)],) = frames(1, self._size)

    def _take_rescue(self) -> Frame:
        (frame,) = frames(1, self._size)
        self._wait(self._comm.Irecv((frame.whole, MPI.FLOAT), 0, Tag.RESCUE))
        return frame

    def _join_broadcast(self, frame: Frame) -> MPI.Request:
        assert self._broadcasts is not None
        try:
            return self._broadcasts.Ibcast((frame.whole, MPI.FLOAT), 0)
        except MPI.Exception as error:
            raise_unless_loss(error)
            self._are_broadcasts_broken = True
            return MPI.REQUEST_NULL

    def _has_come(self, broadcast: MPI.Request) -> bool:
        """Say whether a broadcast has ended here; none does after one that a loss has broken."""
        try:
            return not self._are_broadcasts_broken and broadcast.Test()
        except MPI.Exception as error:
            raise_unless_loss(error)
            self._are_broadcasts_broken = True
            return False

    def _post_release(self) -> None:
        message = (self._landing[0].whole, MPI.FLOAT)
        self._release = self._comm.Irecv(message, 0, Tag.RELEASE)

    def _wait(self, request: MPI.Request) -> None:
        self._patience.reset()
        while not request.Test():
            self._patience.pause()
