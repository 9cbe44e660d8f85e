"""Who gets which data: one rank per node loads the data set and hands the workers their shards."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mpi4py import MPI
from torch import Tensor

from hybridmpi.config import Job
from hybridmpi.engines.mpi.agreement import agree, wait
from hybridmpi.learning.batches import Batches

Samples = tuple[Tensor, Tensor]  # inputs and labels

_TAG = 11
_PART_BYTES = 1 << 30


@dataclass(frozen=True)
class Facts:
    """What every rank knows of the data set."""

    shape: tuple[int, int, int]
    num_classes: int
    training_samples: int
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    shard_sizes: tuple[int, ...]  # of workers 1..N


@dataclass(frozen=True)
class Share:
    """What one rank keeps of the data set.

    Attributes:
        facts: What every rank knows.
        batches: A worker's batches; None on the server.
        evaluation: On the server the fixed subset of the training set, and the test set.
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
    loaded = agree(comm, lambda: _Loaded(comm, job) if node.rank == 0 else None)
    facts: Facts = comm.bcast(loaded.facts if loaded else None)
    ranks = node.allgather(comm.rank)
    if loaded is None:
        return _share_of_worker(comm.rank, job, facts, (_receive(node), _receive(node)))
    for local, rank in enumerate(ranks[1:], start=1):
        for part in loaded.shard(rank):
            _send(node, part, local)
    if comm.rank != 0:
        return _share_of_worker(comm.rank, job, facts, loaded.shard(comm.rank))
    training, test = loaded.training_subset(), loaded.test
    return Share(facts, _bytes(*training, *test), evaluation=(training, test))


class _Loaded:
    """The whole data set, on the rank that has loaded it."""

    def __init__(self, comm: MPI.Intracomm, job: Job) -> None:
        from hybridmpi.learning.datasets import load_dataset
        from hybridmpi.learning.shards import shard_indices

        data = job.data
        data_set = load_dataset(
            data.dataset, data.root, download=data.download, options=data.options
        )
        self._inputs, self._labels = data_set.train_inputs, data_set.train_labels
        self._shards = shard_indices(
            self._labels.numpy(),
            comm.size - 1,
            data.shards,
            seed=job.run.seed,
            batch_size=data.batch_size,
            concentration=data.concentration,
        )
        self.test = data_set.test_inputs, data_set.test_labels
        self.facts = Facts(
            shape=data_set.shape,
            num_classes=data_set.num_classes,
            training_samples=len(self._labels),
            mean=data_set.mean if data.normalize else None,
            std=data_set.std if data.normalize else None,
            shard_sizes=tuple(len(shard) for shard in self._shards),
        )

    def shard(self, worker: int) -> Samples:
        indices = torch.from_numpy(self._shards[worker - 1])
        return self._inputs[indices], self._labels[indices]

    def training_subset(self) -> Samples:
        from hybridmpi.learning.shards import training_subset

        indices = torch.from_numpy(training_subset(len(self._labels)))
        return self._inputs[indices], self._labels[indices]


def _share_of_worker(worker: int, job: Job, facts: Facts, shard: Samples) -> Share:
    inputs, labels = shard
    batches = Batches(
        inputs,
        labels,
        batch_size=job.data.batch_size,
        seed=job.run.seed,
        worker=worker,
        mean=facts.mean,
        std=facts.std,
        augmentation=job.data.augmentation,
    )
    return Share(facts, _bytes(inputs, labels), batches)


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
