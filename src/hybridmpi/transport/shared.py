"""The shared-memory transport: gradients and parameters stay where they are.

On the server's node a worker computes on the very slot in which the server has written a version,
and its gradient adds up in a row that the server reads: pushes and releases are headers alone. On
other nodes a version is received once for all workers there, into a slot of their node's memory;
their gradients come as messages.

A worker may read its slot, and write its row, from its release until its next push. A slot is
written again when nobody reads it, and nothing is being sent from it. A push whose gradient others
are added to keeps its row up to the step; if its worker is released before, it is given another.

A step that cancels workers can't hand them slots while they may still read others. It tells them
to abandon their batch; they say that they have, by a header with batch `TAKEN_BACK`, and are
released then.

Nothing that a lost worker reads or writes is used again, since it may still live.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mpi4py import MPI
from numpy.typing import NDArray
from torch import Tensor

from hybridmpi.core.messages import Push
from hybridmpi.transport.frame import (
    HEADER_BYTES,
    Action,
    Form,
    Frame,
    ReleaseHeader,
    Tag,
    frames,
    stride_of,
)
from hybridmpi.transport.losses import is_done
from hybridmpi.transport.messages import NUM_ROWS, MessageServer, MessageWorker, Slot
from hybridmpi.transport.node_memory import NodeMemory
from hybridmpi.transport.waiting import Patience

TAKEN_BACK = -1  # the batch of a header that carries no gradient


class SharedFrames:
    """Frames that the ranks of a node share.

    Attributes:
        slots: For parameters.
        rows: For gradients.
        stamps: For each slot one more than the version that has landed in it whole, int64,
            [slots]; 0 before the first. Read and written as one piece.
    """

    def __init__(self, memory: NodeMemory, size: int, *, num_slots: int, num_rows: int) -> None:
        """Allocate, on all ranks of a node together.

        Args:
            memory: The node's.
            size: Elements of a flat vector, parameters and buffers.
            num_slots: Number of slots.
            num_rows: Number of rows.
        """
        count = num_slots + num_rows
        self._window, allocated = memory.allocate(shared_bytes(size, count))
        storage = allocated.view(torch.float32).view(count, stride_of(size))
        made = [Frame(each[: HEADER_BYTES // 4 + size]) for each in storage]
        self.slots, self.rows = made[:num_slots], made[num_slots:]
        self.stamps: NDArray[np.int64] = storage[:num_slots].numpy().view(np.int64)[:, 0]

    def sync(self) -> None:
        """Order this rank's loads and stores before those after it."""
        self._window.Sync()


def shared_bytes(size: int, count: int) -> int:
    """Return the bytes of `count` frames for vectors of `size` elements."""
    return 4 * count * stride_of(size)


@dataclass
class Landing:
    """A slot on another node, as the server knows it."""

    number: int
    version: int = -1
    readers: int = 0
    carrier: int = 0  # the worker that was to receive this version


@dataclass
class Released:
    """A worker, and what it was released with.

    Attributes:
        computes: Whether neither its push nor its word that it has abandoned the batch is here.
        is_cancelled: Whether it has been told to abandon the batch.
        has_stopped: Whether it has been told to stop.
        reads: The slot or landing that it may still read.
        row: Its row; other nodes' workers have none.
    """

    computes: bool = False
    is_cancelled: bool = False
    has_stopped: bool = False
    reads: Slot | Landing | None = None
    row: int = -1


class SharedServer(MessageServer):
    """Rank 0's end of the shared-memory transport."""

    def __init__(
        self,
        comm: MPI.Intracomm,
        size: int,
        *,
        patience: Patience,
        shared: SharedFrames,
        nodes: Sequence[int],
    ) -> None:
        """Expect pushes.

        Args:
            comm: Rank 0 is the server; all other ranks are workers.
            size: Elements of a flat vector, parameters and buffers.
            patience: How to wait.
            shared: Of the server's node; a slot more than there are workers in all, and a row more
                than there are on this node.
            nodes: The node of each rank.
        """
        self._frames = shared
        self._unused_slots = iter(range(len(shared.slots)))
        self._beside = [rank for rank in range(1, comm.size) if nodes[rank] == nodes[0]]
        num_rows = 0 if len(self._beside) == comm.size - 1 else NUM_ROWS
        super().__init__(comm, size, patience=patience, broadcasts=None, num_rows=num_rows)
        self._workers = {rank: Released() for rank in range(1, comm.size)}
        for row, rank in enumerate(self._beside):
            self._workers[rank].row = row
        self._spare_row = len(self._beside)
        self._held_rows: set[int] = set()
        self._node_of = nodes
        self._landings = {
            node: [Landing(number) for number in range(nodes.count(node) + 1)]
            for node in set(nodes) - {nodes[0]}
        }
        self._inbox = frames(len(self._beside), 0)
        self._expected = [
            comm.Recv_init((frame.whole, MPI.FLOAT), rank, Tag.PUSH_HEADER)
            for frame, rank in zip(self._inbox, self._beside, strict=True)
        ]
        for index in range(len(self._expected)):
            self._expect(index)
        self._outgoing = Slot(frames(1, 0)[0])
        self._headers.append(self._outgoing)
        self._taken_back: list[int] = []  # other nodes' workers that are to be answered

    def row(self, row: int) -> Tensor:
        """Return a row of the gradient buffer, shape [size]."""
        return super().row(row) if row < NUM_ROWS else self._frames.rows[row - NUM_ROWS].vector

    def free(self, row: int) -> None:
        """Give back a row whose gradient is no longer needed."""
        if row < NUM_ROWS:
            super().free(row)
        else:
            self._held_rows.remove(row - NUM_ROWS)

    def arrivals(self) -> Iterator[Push]:
        """Yield the pushes that have arrived since the last look, without waiting."""
        for index in self._arrived():
            worker, frame = self._beside[index], self._inbox[index]
            row = self._workers[worker].row
            push = frame.read_push(worker, NUM_ROWS + row)
            if worker in self._lost:
                self._tell(worker, Action.STOP)
                continue
            self._expect(index)
            self._let_go(worker)
            if push.batch == TAKEN_BACK:
                self._answer(worker)
            else:
                self._frames.sync()
                self._held_rows.add(row)
                yield push
        if self._landings:
            yield from self._arrivals_from_elsewhere()

    def release(self, workers: Sequence[int], *, all_wait: bool) -> None:
        """Let these workers compute on the version in force; those that compute, soon."""
        del all_wait
        self._frames.sync()
        for worker in self._present(workers):
            known = self._workers[worker]
            if not known.computes:
                self._release(worker, known)
            elif not known.is_cancelled:
                known.is_cancelled = True
                self._tell(worker, Action.CANCEL)

    def stop(self, workers: Sequence[int]) -> None:
        """Tell these workers that the run is over."""
        for worker in self._present(workers):
            self._workers[worker].has_stopped = True
            self._tell(worker, Action.STOP)

    def lose(self, worker: int) -> None:
        """Expect nothing more of a worker; who waits for it to carry a version is sent one."""
        super().lose(worker)
        reads = self._workers[worker].reads
        if isinstance(reads, Landing) and reads.carrier == worker:
            reads.version = -1  # it may not have landed
            self._rescue()

    def close(self) -> bool:
        """Finish what is being sent; say whether all was delivered."""
        for rank, request in zip(self._beside, self._expected, strict=True):
            if rank not in self._lost:
                request.Cancel()
                request.Wait()
            request.Free()
        return super().close()

    def _expect(self, index: int) -> None:
        """Expect the next header of a worker."""
        self._inbox[index].empty()
        try:
            self._expected[index].Start()
        except MPI.Exception as error:
            self._note_loss(error)

    def _arrived(self) -> Sequence[int]:
        """Return which of the expected headers are here."""
        try:
            return MPI.Request.Testsome(self._expected) or ()
        except MPI.Exception as error:
            self._note_loss(error)
            expected = zip(self._expected, self._inbox, strict=True)
            return [
                n
                for n, (each, frame) in enumerate(expected)
                if is_done(each) and not frame.is_empty
            ]

    def _arrivals_from_elsewhere(self) -> Iterator[Push]:
        for push in super().arrivals():
            if push.batch == TAKEN_BACK:
                self.free(push.row)
                self._taken_back.append(push.worker)
            else:
                self._let_go(push.worker)
                yield push
        still_arriving = {arriving.worker for arriving in self._arriving}  # what was sent before
        for worker in set(self._taken_back) - still_arriving:
            self._taken_back.remove(worker)
            self._let_go(worker)
            self._answer(worker)

    def _let_go(self, worker: int) -> None:
        """Take note that a worker reads nothing until its next release."""
        known = self._workers[worker]
        if known.reads is not None:
            known.reads.readers -= 1
            known.reads = None
        known.computes = known.is_cancelled  # if so, its answer is still to come

    def _answer(self, worker: int) -> None:
        """Release a worker that has abandoned its batch."""
        known = self._workers[worker]
        known.computes = known.is_cancelled = False
        if not known.has_stopped:
            self.release([worker], all_wait=False)

    def _release(self, worker: int, known: Released) -> None:
        known.computes = True
        node = self._node_of[worker]
        if node in self._landings:
            self._release_elsewhere(worker, known, self._landings[node])
            return
        if known.row in self._held_rows:
            known.row, self._spare_row = self._spare_row, known.row
        known.reads = self._slot
        self._slot.readers += 1
        self._tell(worker, Action.COMPUTE, Form.SHARED, self._slot.number, known.row)

    def _release_elsewhere(self, worker: int, known: Released, landings: list[Landing]) -> None:
        """Send the version in force to a node, if it isn't there or on its way already."""
        found = [each for each in landings if each.version == self._version]
        landing = found[0] if found else next(each for each in landings if not each.readers)
        if not found:
            landing.version, landing.carrier = self._version, worker
        landing.readers += 1
        known.reads = landing
        form = Form.SHARED if found else Form.CARRIED
        self._tell(worker, Action.COMPUTE, form, landing.number)
        if not found:
            message = (self._slot.frame.body, MPI.FLOAT)
            self._slot.sends.append(self._isend(message, worker, Tag.PARAMETERS))
            self.bytes_sent += len(self._slot.frame.body)

    def _tell(
        self,
        worker: int,
        action: Action,
        form: Form = Form.SHARED,
        slot: int = 0,
        row: int = 0,
    ) -> None:
        losses = self._num_told_losses
        message = ReleaseHeader(self._version, action, form, slot, row, losses).as_bytes()
        request = self._isend((message, MPI.FLOAT), worker, Tag.RELEASE)
        self.bytes_sent += len(message)
        if not is_done(request):
            unsent = [each for each in self._outgoing.sends if not is_done(each)]
            self._outgoing.sends = [*unsent, request]

    def _new_slot(self) -> Slot:
        number = next(self._unused_slots)
        return Slot(self._frames.slots[number], number)


class SharedWorker(MessageWorker):
    """A worker's end of the shared-memory transport."""

    def __init__(
        self,
        comm: MPI.Intracomm,
        size: int,
        *,
        patience: Patience,
        can_be_cancelled: bool,
        losses: Sequence[int] = (),
        shared: SharedFrames,
        is_beside_server: bool,
        row: int,
    ) -> None:
        """Expect the first release.

        Args:
            comm: As the server's.
            size: Elements of a flat vector, parameters and buffers.
            patience: How to wait.
            can_be_cancelled: Whether a step may cancel the batch at hand.
            losses: What is known of losses before.
            shared: Those of this node.
            is_beside_server: Whether it is the server's node.
            row: The first row of a worker beside the server.
        """
        super().__init__(
            comm,
            0 if is_beside_server else size,
            patience=patience,
            can_be_cancelled=can_be_cancelled,
            losses=losses,
            landing_size=0,
        )
        self.may_write = False  # others of this node read the same slot
        self._size = size
        self._frames = shared
        self._is_beside_server = is_beside_server
        self._push_tag = Tag.PUSH_HEADER if is_beside_server else Tag.PUSH
        self._row = row

    @property
    def gradient(self) -> Tensor:
        """Where to compute the next gradient and, behind it, the buffers; shape [size]."""
        return self._frames.rows[self._row].vector if self._is_beside_server else super().gradient

    def wait_release(self) -> int | None:
        """Wait to be released; return the version of `parameters`, or None to stop."""
        release = self._next_release().read_release()
        while release.action == Action.CANCEL:
            self._take_back()
            release = self._next_release().read_release()
        if release.action == Action.STOP:
            return None
        if not self._is_beside_server and (rescue := self._land(release)) is not None:
            self.parameters = rescue.vector
            return rescue.read_release().version
        self._frames.sync()
        self.parameters = self._frames.slots[release.slot].vector
        self._row = release.row
        return release.version

    def push(self, push: Push) -> None:
        """Let the server have `gradient`."""
        self._frames.sync()
        super().push(push)

    def _take_back(self) -> None:
        """Tell the server that nothing more comes of the last release, nor is read for it."""
        self._frames.sync()
        header = frames(1, 0)[0]
        header.write_push(Push(self._comm.rank, TAKEN_BACK, 0, 0, 0.0, 0))
        self._wait(self._comm.Isend((header.whole, MPI.FLOAT), 0, self._push_tag))

    def _land(self, release: ReleaseHeader) -> Frame | None:
        """Receive a version into this node's memory, or wait until another worker has.

        Returns:
            A frame with this version or a newer one, if that worker is lost.
        """
        slot: Frame = self._frames.slots[release.slot]
        landed = release.version + 1
        if release.form == Form.CARRIED:
            self._wait(self._comm.Irecv((slot.body, MPI.FLOAT), 0, Tag.PARAMETERS))
            self._frames.sync()
            self._frames.stamps[release.slot] = landed
            self._frames.sync()
            return None

        def has_landed() -> bool:
            self._frames.sync()
            return bool(self._frames.stamps[release.slot] == landed)

        return self._unless_rescued(has_landed, release)
