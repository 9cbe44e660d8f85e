"""Who gets which data: one rank per node loads the data set, and its workers read it in place.

Where a node has too little shared memory for that, each worker is sent a copy of its shard.
"""

import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mpi4py import MPI
from torch import Tensor

from hybridmpi.engines.data import Facts, LoadedData, Samples, batches_of, shard_after
from hybridmpi.engines.memory import mib
from hybridmpi.engines.mpi.agreement import agree, wait
from hybridmpi.learning.batches import Batches
from hybridmpi.transport import node_memory
from hybridmpi.transport.node_memory import NodeMemory

_TAG = 11
_PART_BYTES = 1 << 30


@dataclass(frozen=True)
class Share:
    """What one rank keeps of the data set.

    Attributes:
        facts: What every rank knows.
        data_bytes: Bytes of what it keeps; what a node's ranks share is its first rank's.
        samples: What a worker draws from; None on the server.
        evaluation: On the server the fixed subset of the training set, and the test set or
            validation split.
        shortages: For each node with too little shared memory, what is done about it.
    """

    facts: Facts
    data_bytes: int
    samples: "WorkerSamples | None"
    evaluation: tuple[Samples, Samples] | None
    shortages: tuple[str, ...]

    @property
    def any_samples(self) -> Samples:
        """Samples of the data set, whatever this rank has."""
        if self.samples is not None:
            return self.samples.samples
        assert self.evaluation is not None
        return self.evaluation[0]

    @property
    def batches(self) -> Batches | None:
        """A worker's batches, while no shard has been shared out anew; None on the server."""
        return self.samples.batches(()) if self.samples else None


class WorkerSamples:
    """What a worker draws its batches from.

    Attributes:
        samples: What its samples are among.

    Args:
        worker: The worker's number.
        facts: Of the data set.
        samples: What its samples are among.
        shards: The indices of all workers' samples; none where it holds a copy of its own alone.
        device: Where its batches go.
    """

    def __init__(
        self,
        worker: int,
        facts: Facts,
        samples: Samples,
        shards: Sequence[Tensor],
        device: torch.device,
    ) -> None:
        self._worker = worker
        self._facts = facts
        self.samples = samples
        self._shards = shards
        self._device = device
        self._drawn_after = -1  # losses
        self._batches: Batches

    def batches(self, losses: Sequence[int]) -> Batches:
        """Return the batches after losses; see `learning.shards.share_out_anew`."""
        if self._drawn_after != len(losses):
            self._drawn_after = len(losses)
            shard = shard_after(self._shards, self._worker, losses) if self._shards else None
            self._batches = batches_of(self._worker, self._facts, self.samples, shard, self._device)
        return self._batches


def share_out(comm: MPI.Intracomm, memory: NodeMemory, job: str, device: torch.device) -> Share:
    """Load the data set on one rank per node, and give each rank what it needs of it.

    Args:
        comm: Rank 0 is the server.
        memory: Of the ranks on this node, in the order of `comm`; the first one loads.
        job: The whole job, as JSON.
        device: Where this rank's batches go.

    Raises:
        UserError: On all ranks, if the data set cannot be loaded or shared out.
    """
    node, worker = memory.node, comm.rank
    loaded = agree(comm, lambda: _load(job, comm.size - 1) if node.rank == 0 else None)
    facts: Facts = comm.bcast(loaded.facts if loaded else None)
    to_share = [*loaded.training, torch.cat(loaded.shards)] if loaded else []
    shortages = comm.allgather(_shortage(to_share))
    shards: Sequence[Tensor] = ()
    if shortages[node.bcast(worker)]:
        samples, held_bytes = _own_shard(node, worker, loaded)
    else:
        inputs, labels, every_shard = memory.share(to_share)
        samples, held_bytes = (inputs, labels), node_memory.needed_bytes(to_share)
        shards = every_shard.split_with_sizes(facts.shard_sizes)
    evaluation = (loaded.training_subset(), loaded.held_out) if loaded and not worker else None
    return Share(
        facts,
        held_bytes + sum(_bytes(part) for part in evaluation or ()),
        WorkerSamples(worker, facts, samples, shards, device) if worker else None,
        evaluation,
        tuple(filter(None, shortages)),
    )


def _load(job: str, num_workers: int) -> LoadedData:
    from hybridmpi.config.load import parse_job

    return LoadedData(parse_job(json.loads(job), "job"), num_workers)


def _shortage(tensors: Sequence[Tensor]) -> str:
    """Say that these tensors don't fit the shared memory, or nothing if they do."""
    needed, room = node_memory.needed_bytes(tensors), node_memory.room_bytes()
    if needed <= room:
        return ""
    return (
        f"{socket.gethostname()}: the training set takes {mib(needed)}, but "
        f"{node_memory.backing_folder()} has {mib(room)} of shared memory left; each worker there "
        "keeps a copy of its shard"
    )


def _own_shard(node: MPI.Intracomm, worker: int, loaded: LoadedData | None) -> tuple[Samples, int]:
    """Give each worker of a node a copy of its shard; return this rank's, and its bytes."""
    ranks = node.allgather(worker)
    if loaded is None:
        samples = _receive(node), _receive(node)
        return samples, _bytes(samples)
    for local, rank in enumerate(ranks[1:], start=1):
        for part in loaded.shard(rank):
            _send(node, part, local)
    if not worker:
        return loaded.training, 0  # which the server has no use for, and gives up
    samples = loaded.shard(worker)
    return samples, _bytes(samples)


def _bytes(samples: Samples) -> int:
    return sum(tensor.nbytes for tensor in samples)


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
