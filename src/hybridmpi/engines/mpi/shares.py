"""Who gets which samples: one rank per node loads those in memory, and its workers read in place.

Where a node has too little shared memory for that, each worker is sent a copy of its shard. Samples
in memory-mapped files, or of the user's own kind, each rank reads by itself.
"""

import pickle
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from mpi4py import MPI
from torch import Tensor

from hybridmpi.engines.data import TRAINING, Facts, LoadedData, batches_of, shard_after
from hybridmpi.engines.memory import mib
from hybridmpi.engines.mpi.agreement import agree, wait
from hybridmpi.engines.problem import Sharing
from hybridmpi.errors import UserError
from hybridmpi.learning.batches import Batches
from hybridmpi.learning.nests import Nest, leaves, map_leaves, with_leaves
from hybridmpi.learning.problem import Problem
from hybridmpi.learning.problems.load import Source
from hybridmpi.learning.samples import AnySamples, TensorSamples, as_samples
from hybridmpi.transport import node_memory
from hybridmpi.transport.node_memory import NodeMemory

_TAG = 11
_PART_BYTES = 1 << 30


@dataclass(frozen=True)
class Share:
    """What one rank keeps of the samples.

    Attributes:
        problem: What is learned, on this rank.
        facts: What every rank knows.
        data_bytes: Bytes of what it keeps; what a node's ranks share is its first rank's.
        samples: What a worker draws from; None on the server.
        evaluation: On the server the fixed subset of the training set, and the test set or
            validation split.
        shortages: For each node with too little shared memory, what is done about it.
    """

    problem: Problem
    facts: Facts
    data_bytes: int
    samples: "WorkerSamples | None"
    evaluation: tuple[AnySamples, AnySamples] | None
    shortages: tuple[str, ...]

    @property
    def any_samples(self) -> AnySamples:
        """Samples of the training set, whatever this rank has."""
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
        samples: AnySamples,
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


def share_out(
    comm: MPI.Intracomm, memory: NodeMemory, source: Source, sharing: Sharing, device: torch.device
) -> Share:
    """Load the samples, those in memory on one rank per node, and give each rank what it needs.

    Args:
        comm: Rank 0 is the server.
        memory: Of the ranks on this node, in the order of `comm`; the first one loads.
        source: Of the problem.
        sharing: How the training set is shared out.
        device: Where this rank's batches go.

    Raises:
        UserError: On all ranks, if the samples cannot be loaded or shared out.
    """
    node, worker = memory.node, comm.rank
    is_reader = node.rank == 0
    problem = _problem(comm, source, is_reader)
    loaded = agree(comm, lambda: LoadedData(problem, sharing, comm.size - 1) if is_reader else None)
    facts: Facts = comm.bcast(loaded.facts if loaded else None)
    agree(comm, lambda: _check_same(problem, facts, loaded))
    stored: Stored | None = agree(comm, lambda: Stored.of(problem, loaded) if loaded else None)
    stored = node.bcast(stored)
    shards: Sequence[Tensor] = ()
    shortages: list[str] = [""] * comm.size
    if stored is None:  # each rank reads for itself
        samples = agree(comm, lambda: loaded.training if loaded else _read(problem))
        shards, held_bytes = node.bcast(loaded.shards if loaded else None), 0
    else:
        to_share = [*_tensors(loaded.training), torch.cat(loaded.shards)] if loaded else []
        shortages = comm.allgather(_shortage(to_share))
        if shortages[node.bcast(worker)]:
            parts, held_bytes = _own_shard(node, worker, loaded)
        else:
            *parts, every_shard = memory.share(to_share)
            held_bytes = node_memory.needed_bytes(to_share)
            shards = every_shard.split_with_sizes(facts.shard_sizes)
        samples = stored.samples(parts)
    evaluation = (loaded.training_subset(), loaded.held_out) if loaded and not worker else None
    return Share(
        problem,
        facts,
        held_bytes + sum(map(_bytes, evaluation or ())),
        WorkerSamples(worker, facts, samples, shards, device) if worker else None,
        evaluation,
        tuple(filter(None, shortages)),
    )


@dataclass(frozen=True)
class Stored:
    """What is told of samples in memory to the ranks that are to see them: all but their tensors.

    Attributes:
        form: A nest like theirs.
        augment: See `TensorSamples`.
        prepare: Likewise.
    """

    form: Nest
    augment: Any
    prepare: Any

    @classmethod
    def of(cls, problem: Problem, loaded: LoadedData) -> Self | None:
        """Return what to tell; None if the training samples are not in memory.

        Raises:
            UserError: If a function of theirs cannot be sent.
        """
        training = loaded.training
        if not isinstance(training, TensorSamples):
            return None
        stored = cls(map_leaves(lambda _: 0, training.tensors), training.augment, training.prepare)
        try:
            pickle.dumps(stored)
        except Exception as error:  # pickle raises many
            raise UserError(
                f"{problem.subject}, whose {TRAINING} have functions that can't be sent to other "
                f"processes ({error}); define them at the top of a module, without lambda"
            ) from error
        return stored

    def samples(self, tensors: Sequence[Tensor]) -> TensorSamples:
        """Return samples of these tensors."""
        nest = with_leaves(self.form, iter(tensors))
        return TensorSamples(nest, augment=self.augment, prepare=self.prepare)


def _problem(comm: MPI.Intracomm, source: Source, is_reader: bool) -> Problem:
    """Make the problem on each rank, or on readers, which send it to the others."""
    if not source.is_made_by_readers:
        return agree(comm, source.make)
    made = agree(comm, lambda: source.make() if is_reader else None)
    sent: Problem = comm.bcast(made.without_samples() if made and not comm.rank else None)
    return made or sent


def _read(problem: Problem) -> AnySamples:
    return as_samples(problem.training, f"{problem.subject}, whose {TRAINING}")


def _check_same(problem: Problem, facts: Facts, loaded: LoadedData | None) -> None:
    """Check that all nodes have loaded the same."""
    if loaded is not None and loaded.facts != facts:
        raise UserError(
            f"{problem.subject}, whose {TRAINING} differ between {socket.gethostname()} and the "
            "server's node; draw them with a fixed seed, and read the same files"
        )


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


def _own_shard(
    node: MPI.Intracomm, worker: int, loaded: LoadedData | None
) -> tuple[list[Tensor], int]:
    """Give each worker of a node a copy of its shard; return this rank's, and its bytes."""
    ranks = node.allgather(worker)
    if loaded is None:
        parts = [_receive(node) for _ in range(node.recv(source=0, tag=_TAG))]
        return parts, sum(part.nbytes for part in parts)
    for local, rank in enumerate(ranks[1:], start=1):
        parts = _tensors(loaded.shard(rank))
        node.send(len(parts), local, _TAG)
        for part in parts:
            _send(node, part, local)
    if not worker:
        return _tensors(loaded.training), 0  # which the server has no use for, and gives up
    parts = _tensors(loaded.shard(worker))
    return parts, sum(part.nbytes for part in parts)


def _tensors(samples: AnySamples) -> list[Tensor]:
    return leaves(samples.tensors) if isinstance(samples, TensorSamples) else []


def _bytes(samples: AnySamples) -> int:
    return sum(tensor.nbytes for tensor in _tensors(samples))


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
