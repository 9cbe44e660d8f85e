"""Who gets which data: one rank per node loads the data set and hands the workers their shards."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mpi4py import MPI
from torch import Tensor

from hybridmpi.config import Job
from hybridmpi.engines.data import Facts, LoadedData, Samples, batches_of
from hybridmpi.engines.mpi.agreement import agree, wait
from hybridmpi.learning.batches import Batches

_TAG = 11
_PART_BYTES = 1 << 30


@dataclass(frozen=True)
class Share:
    """What one rank keeps of the data set.

    Attributes:
        facts: What every rank knows.
        batches: A worker's batches; None on the server.
        evaluation: On the server the fixed subset of the training set, and the test set or
            validation split.
        data_bytes: Bytes of what it keeps.
    """

    facts: Facts
    data_bytes: int
    batches: Batches | None = None
    evaluation: tuple[Samples, Samples] | None = None


def share_out(comm: MPI.Intracomm, node: MPI.Intracomm, job: Job) -> Share:
    """Load the data set on one rank per node, and give each rank what it needs of it.

    Args:
        comm: Rank 0 is the server.
        node: The ranks on this node, in the order of `comm`; its rank 0 loads.
        job: The job.

    Raises:
        UserError: On all ranks, if the data set cannot be loaded or shared out.
    """
    loaded = agree(comm, lambda: LoadedData(job, comm.size - 1) if node.rank == 0 else None)
    facts: Facts = comm.bcast(loaded.facts if loaded else None)
    ranks = node.allgather(comm.rank)
    if loaded is None:
        return _share_of_worker(comm.rank, job, facts, (_receive(node), _receive(node)))
    for local, rank in enumerate(ranks[1:], start=1):
        for part in loaded.shard(rank):
            _send(node, part, local)
    if comm.rank != 0:
        return _share_of_worker(comm.rank, job, facts, loaded.shard(comm.rank))
    training, held_out = loaded.training_subset(), loaded.held_out
    return Share(facts, _bytes(*training, *held_out), evaluation=(training, held_out))


def _share_of_worker(worker: int, job: Job, facts: Facts, shard: Samples) -> Share:
    return Share(facts, _bytes(*shard), batches_of(worker, job, facts, shard))


def _bytes(*tensors: Tensor) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _send(node: MPI.Intracomm, tensor: Tensor, rank: int) -> None:
    node.send((tensor.shape, tensor.dtype), rank, _TAG)
    sends = [node.Isend(part, rank, _TAG) for part in _parts(tensor)]
    wait(lambda: MPI.Request.Testall(sends))


def _receive(node: MPI.Intracomm) -> Tensor:
    wait(lambda: node.iprobe(0, _TAG))
    shape, dtype = node.recv(source=0, tag=_TAG)
    tensor = torch.empty(shape, dtype=dtype)
    receives = [node.Irecv(part, 0, _TAG) for part in _parts(tensor)]
    wait(lambda: MPI.Request.Testall(receives))
    return tensor


def _parts(tensor: Tensor) -> Sequence[memoryview]:
    """Cut a contiguous tensor's bytes into messages that every MPI library can send."""
    whole = tensor.numpy().reshape(-1).view("B").data
    return [whole[start : start + _PART_BYTES] for start in range(0, len(whole), _PART_BYTES)]
