"""Chooses the ends of the transport between the server and its workers."""

from hybridmpi.engines.mpi.setup import Ranks
from hybridmpi.transport.collective import CollectiveServer, CollectiveWorker
from hybridmpi.transport.messages import MessageServer, MessageWorker


def server_end(ranks: Ranks, size: int, *, is_collective: bool) -> MessageServer:
    """Return rank 0's end for flat vectors of `size` elements."""
    if is_collective:
        return CollectiveServer(ranks.comm, size, patience=ranks.patience())
    return MessageServer(
        ranks.comm, size, patience=ranks.patience(), broadcasts=ranks.num_nodes > 1
    )


def worker_end(
    ranks: Ranks, size: int, *, is_collective: bool, can_be_cancelled: bool
) -> MessageWorker:
    """Return a worker's end; a worker that can be cancelled may be released while it computes."""
    return (CollectiveWorker if is_collective else MessageWorker)(
        ranks.comm, size, patience=ranks.patience(), can_be_cancelled=can_be_cancelled
    )
