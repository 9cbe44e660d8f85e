"""Chooses the transport between the server and its workers, and makes its ends."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from hybridmpi.engines.memory import mib
from hybridmpi.engines.mpi.ranks import Ranks
from hybridmpi.errors import UserError
from hybridmpi.transport.collective import CollectiveServer, CollectiveWorker
from hybridmpi.transport.messages import NUM_ROWS, MessageServer, MessageWorker
from hybridmpi.transport.node_memory import backing_folder, room_bytes
from hybridmpi.transport.shared import SharedFrames, SharedServer, SharedWorker, shared_bytes

Transport = Literal["messages", "collective", "shared"]
Asked = Literal["auto", "messages", "shared"]


@dataclass(frozen=True)
class Choice:
    """A transport, and why it isn't the one that would be taken otherwise."""

    transport: Transport
    why: str = ""


def choose_transport(ranks: Ranks, size: int, asked: Asked, *, is_collective: bool) -> Choice:
    """Choose on all ranks together: shared memory where ranks share nodes and it has room.

    Args:
        ranks: All ranks.
        size: Elements of a flat vector, parameters and buffers.
        asked: What the job asks for.
        is_collective: Whether the job asks for a broadcast per step.

    Raises:
        UserError: If shared memory was asked for, and a node has too little.
    """
    if is_collective:
        return Choice("collective")
    if asked == "messages" or (asked == "auto" and ranks.num_nodes == ranks.comm.size):
        return Choice("messages")
    needed, room = shared_bytes(size, sum(_frames_of_node(ranks))), room_bytes()
    shortage = ""
    if needed > room:
        shortage = (
            f"{socket.gethostname()} needs {mib(needed)} of shared memory, but "
            f"{backing_folder()} has {mib(room)} to spare"
        )
    shortage = next(filter(None, ranks.comm.allgather(shortage)), "")
    if not shortage:
        return Choice("shared")
    if asked == "shared":
        raise UserError(
            f"{shortage}; give it more (a container by --shm-size), start fewer workers, or set "
            'run.transport = "messages"'
        )
    return Choice("messages", shortage)


def num_vectors(ranks: Ranks, transport: Transport) -> int:
    """Return how many vectors this rank allocates at most; of shared ones, the node's lowest."""
    if ranks.is_server:
        own, shared = NUM_ROWS, ranks.num_workers + 1
    else:
        own, shared = (1 if transport == "shared" else 3), 0
    if transport != "shared":
        return own + shared
    is_own_needed = ranks.num_nodes > 1 if ranks.is_server else not ranks.is_beside_server
    return own * is_own_needed + (sum(_frames_of_node(ranks)) if ranks.node.rank == 0 else 0)


def server_end(ranks: Ranks, size: int, transport: Transport) -> MessageServer:
    """Return rank 0's end for flat vectors of `size` elements, once workers make theirs."""
    comm, patience = ranks.direct, ranks.patience()
    if transport == "shared":
        shared = _shared_frames(ranks, size)
        return SharedServer(comm, size, patience=patience, shared=shared, nodes=ranks.nodes)
    if transport == "collective":
        return CollectiveServer(comm, size, patience=patience, broadcasts=ranks.comm)
    broadcasts = ranks.comm if ranks.num_nodes > 1 else None
    return MessageServer(comm, size, patience=patience, broadcasts=broadcasts)


def worker_end(
    ranks: Ranks,
    size: int,
    transport: Transport,
    *,
    can_be_cancelled: bool,
    losses: Sequence[int] = (),
) -> MessageWorker:
    """Return a worker's end.

    Args:
        ranks: All ranks.
        size: Elements of a flat vector.
        transport: As the server's.
        can_be_cancelled: Whether it may be released while it computes.
        losses: Those before this run went on; see `MessageWorker`.
    """
    comm, patience = ranks.direct, ranks.patience()
    if transport == "shared":
        return SharedWorker(
            comm,
            size,
            patience=patience,
            can_be_cancelled=can_be_cancelled,
            losses=losses,
            shared=_shared_frames(ranks, size),
            is_beside_server=ranks.is_beside_server,
            row=ranks.node.rank - 1,
        )
    kind = CollectiveWorker if transport == "collective" else MessageWorker
    return kind(
        comm,
        size,
        patience=patience,
        can_be_cancelled=can_be_cancelled,
        broadcasts=ranks.comm,
        losses=losses,
    )


def _shared_frames(ranks: Ranks, size: int) -> SharedFrames:
    num_slots, num_rows = _frames_of_node(ranks)
    return SharedFrames(ranks.memory, size, num_slots=num_slots, num_rows=num_rows)


def _frames_of_node(ranks: Ranks) -> tuple[int, int]:
    """Return how many slots and rows this rank's node has.

    On the server's node each worker, wherever it is, may hold up another slot; elsewhere only the
    workers there. One more receives the next version. Rows: one per worker beside the server, and
    one more for a worker whose own is still needed.
    """
    if ranks.is_beside_server:
        return ranks.num_workers + 1, ranks.node.size
    return ranks.node.size + 1, 0
