"""Under mpirun: what each end of a transport sends, the other receives, form by form."""

import sys
from typing import Any

from mpi4py import MPI

from hybridmpi.core.messages import Push
from hybridmpi.transport.collective import CollectiveServer, CollectiveWorker
from hybridmpi.transport.frame import HEADER_BYTES, Frame
from hybridmpi.transport.messages import MessageServer, MessageWorker
from hybridmpi.transport.node_memory import NodeMemory
from hybridmpi.transport.shared import SharedFrames, SharedServer, SharedWorker
from hybridmpi.transport.waiting import Patience

ROUNDS = 6
SIZES = (1, 1000, 300_000)
PATIENCE = Patience(shares_cores=True)


def nodes_of(comm: MPI.Intracomm, form: str) -> list[int]:
    """Let the ranks of this machine stand for as many nodes as the form's name says."""
    number = int(form.rpartition("-")[2])
    return [rank * number // comm.size for rank in range(comm.size)]


def shared_frames(comm: MPI.Intracomm, form: str, size: int) -> SharedFrames:
    nodes = nodes_of(comm, form)
    memory = NodeMemory(comm.Split(nodes[comm.rank]))
    if nodes[comm.rank] == nodes[0]:
        return SharedFrames(memory, size, num_slots=comm.size, num_rows=memory.node.size)
    return SharedFrames(memory, size, num_slots=memory.node.size + 1, num_rows=0)


def server(comm: MPI.Intracomm, form: str, size: int) -> MessageServer:
    if form == "collective":
        return CollectiveServer(comm, size, patience=PATIENCE, broadcasts=comm)
    if form.startswith("shared"):
        shared, nodes = shared_frames(comm, form, size), nodes_of(comm, form)
        return SharedServer(comm, size, patience=PATIENCE, shared=shared, nodes=nodes)
    broadcasts = comm if form == "waiting-broadcast" else None
    return MessageServer(comm, size, patience=PATIENCE, broadcasts=broadcasts)


def worker(comm: MPI.Intracomm, form: str, size: int, *, cancels: bool) -> MessageWorker:
    if form.startswith("shared"):
        nodes = nodes_of(comm, form)
        return SharedWorker(
            comm,
            size,
            patience=PATIENCE,
            can_be_cancelled=cancels,
            shared=shared_frames(comm, form, size),
            is_beside_server=nodes[comm.rank] == nodes[0],
            row=comm.rank - 1,
        )
    kind = CollectiveWorker if form == "collective" else MessageWorker
    return kind(comm, size, patience=PATIENCE, can_be_cancelled=cancels, broadcasts=comm)


def arrivals(end: MessageServer, count: int) -> list[Push]:
    """Wait for pushes of whole numbers, and look at their rows as long as these are theirs."""
    arrived: list[Push] = []
    held = -1  # as the row in which gradients add up is
    while len(arrived) < count:
        for push in end.arrivals():
            arrived.append(push)
            assert push.row != held
            row = end.row(push.row)
            assert row.shape == (end.parameters.shape[0],)
            assert (row == 10 * push.worker + push.batch).all()
            if held < 0:
                held = push.row
            else:
                end.free(push.row)
        PATIENCE.pause()
    end.free(held)
    return arrived


def next_version(end: MessageServer, version: int) -> None:
    end.next_parameters().fill_(version)
    end.publish(version)


def guard_headers(end: MessageServer) -> None:
    """Let no header be written while its frame is being sent: receivers would see it change."""
    write = Frame.write_release

    def write_release(frame: Frame, *values: Any) -> None:
        for slot in (end._slot, *end._left):
            assert slot.frame is not frame or not slot.sends
        write(frame, *values)

    Frame.write_release = write_release  # type: ignore[method-assign]


def serve(comm: MPI.Intracomm, form: str, size: int) -> None:
    """Every round steps once on all pushes, and once more on the first alone in odd rounds.

    In every fourth round the workers are released one after the other.
    """
    end, workers = server(comm, form, size), range(1, comm.size)
    guard_headers(end)
    version = 0
    next_version(end, version)
    end.release(tuple(workers), all_wait=True)
    for round_number in range(ROUNDS):
        pushes = arrivals(end, len(workers))
        assert sorted(push.worker for push in pushes) == list(workers)
        for push in pushes:
            assert (push.batch, push.samples, push.is_finite) == (round_number, 7, True)
            assert (push.loss, push.compute_s, push.wait_s) == (0.5 + push.worker, 0.25, 0.125)
        first, *others = (push.worker for push in pushes)
        version += 1
        next_version(end, version)
        if round_number % 2:
            end.release((first,), all_wait=False)
            version += 1
            next_version(end, version)
            end.release(tuple(others), all_wait=False)
        elif round_number % 4:
            for number in (first, *others):
                end.release((number,), all_wait=False)
        else:
            end.release((first, *others), all_wait=True)
    pushes = arrivals(end, len(workers))
    end.stop([push.worker for push in pushes])
    assert end.close()
    message = HEADER_BYTES if form == "shared-1" else 4 * size
    assert end.bytes_sent >= message * ROUNDS


def work(comm: MPI.Intracomm, form: str, size: int, *, cancels: bool) -> None:
    end = worker(comm, form, size, cancels=cancels)
    batch = 0
    while (version := end.wait_release()) is not None:
        assert end.parameters.shape == (size,)
        assert (end.parameters == version).all(), (form, version, end.parameters[:3])
        assert not end.is_released()
        assert end.gradient.data_ptr() % 64 == end.parameters.data_ptr() % 64 == 0
        end.gradient.fill_(10 * comm.rank + batch)
        end.push(Push(comm.rank, batch, version, 0, 0.5 + comm.rank, 7, 0.25, 0.125))
        batch += 1
    assert batch == ROUNDS + 1
    end.close()


def cancel(comm: MPI.Intracomm, form: str) -> None:
    """A release reaches a worker that computes; the push that it crosses arrives all the same."""
    workers = tuple(range(1, comm.size))
    if comm.rank == 0:
        end = server(comm, form, 1000)
        for version in (0, 1):
            next_version(end, version)
            end.release(workers, all_wait=False)
        pushes = arrivals(end, len(workers))
        assert {push.version for push in pushes} == {1}
        end.stop(workers)
        assert end.close()
        return
    computing = worker(comm, form, 1000, cancels=True)
    version = computing.wait_release()
    while version == 0:
        if computing.is_released():
            version = computing.wait_release()
        PATIENCE.pause()
    assert version == 1
    assert (computing.parameters == 1).all()
    computing.gradient.fill_(10 * comm.rank + 1)
    computing.push(Push(comm.rank, 1, version, 0, 0.0, 1))
    assert computing.wait_release() is None
    computing.close()


def main() -> None:
    forms = sys.argv[1:]
    for form in forms:
        for size in SIZES:
            for cancels in (False, True):
                comm = MPI.COMM_WORLD.Dup()
                if comm.rank == 0:
                    serve(comm, form, size)
                else:
                    work(comm, form, size, cancels=cancels)
        cancel(MPI.COMM_WORLD.Dup(), form)
        MPI.COMM_WORLD.Barrier()
        if MPI.COMM_WORLD.rank == 0:
            print("passed", form, flush=True)


main()
