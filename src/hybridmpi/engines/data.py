"""A problem's samples, and how workers share them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridmpi.core.epoch import Epoch, LastBatch
from hybridmpi.engines.problem import Sharing
from hybridmpi.errors import UserError
from hybridmpi.learning.batches import Batches
from hybridmpi.learning.building import checksum
from hybridmpi.learning.nests import leaves
from hybridmpi.learning.problem import Problem
from hybridmpi.learning.samples import AnySamples, as_samples, classes_of, examples_of, part_of

NUM_EXAMPLES = 3
TRAINING, TEST = "training samples", "test samples"


@dataclass(frozen=True)
class Facts:
    """What every rank knows of the training set, and of how the job uses it.

    Attributes:
        training_samples: Size of the training set, without what is held out.
        shard_sizes: Samples of each worker, 1..N.
        batch_size: Samples per gradient.
        last_batch: What happens to the samples of an epoch that don't fill a batch.
        seed: The run's.
        checksum: Of the first few samples.
    """

    training_samples: int
    shard_sizes: tuple[int, ...]
    batch_size: int
    last_batch: LastBatch
    seed: int
    checksum: int

    @property
    def epochs(self) -> list[Epoch]:
        """How each worker's shard is cut into batches, 1..N."""
        return [Epoch(size, self.batch_size, self.last_batch) for size in self.shard_sizes]


class LoadedData:
    """All samples, in the process that has loaded them.

    Attributes:
        facts: What every rank knows.
        training: The whole training set, with what is held out of it.
        shards: For each of the workers 1..N the indices of its samples in `training`, ascending.
        held_out: What no worker learns from: the validation split if the job asks for one, else
            the test set.
    """

    def __init__(self, problem: Problem, sharing: Sharing, num_workers: int) -> None:
        """Load the samples and share them out.

        Raises:
            UserError: If they cannot be loaded or shared out.
        """
        # A rank that loads nothing has no use for what this imports.
        from hybridmpi.learning.shards import shard_indices, split

        training = as_samples(problem.training, f"{problem.subject}, whose {TRAINING}")
        self.training: AnySamples = training
        self._trained_on, validation = split(len(training), sharing.validation)
        classes = _classes(problem, training, sharing)
        shards = shard_indices(
            classes[self._trained_on],
            num_workers,
            sharing.shards,
            seed=sharing.seed,
            batch_size=sharing.batch_size,
            concentration=sharing.concentration,
        )
        self.shards = [torch.from_numpy(self._trained_on[shard]) for shard in shards]
        if sharing.validation:
            self.held_out = part_of(training, torch.from_numpy(validation))
        else:
            self.held_out = as_samples(problem.test, f"{problem.subject}, whose {TEST}")
        self.facts = Facts(
            training_samples=len(self._trained_on),
            shard_sizes=tuple(len(shard) for shard in self.shards),
            batch_size=sharing.batch_size,
            last_batch=sharing.last_batch,
            seed=sharing.seed,
            checksum=_checksum(training),
        )

    def shard(self, worker: int) -> AnySamples:
        """Return a worker's samples, of samples in memory a copy."""
        return part_of(self.training, self.shards[worker - 1])

    def training_subset(self) -> AnySamples:
        """Return the fixed subset of the training set that is evaluated."""
        from hybridmpi.learning.shards import training_subset

        subset = self._trained_on[training_subset(len(self._trained_on))]
        return part_of(self.training, torch.from_numpy(subset))


def _classes(problem: Problem, training: AnySamples, sharing: Sharing) -> NDArray[np.int64]:
    """Return the class of each training sample; 0 for all where it does not matter."""
    if not sharing.shards.startswith("dirichlet"):
        return np.broadcast_to(np.int64(0), len(training))
    classes = classes_of(training, TRAINING)
    if classes is None:
        raise UserError(
            f"data.shards is '{sharing.shards}', which shares samples out by class, but "
            f"{problem.subject}, whose {TRAINING} have no classes; take 'stride' or 'contiguous', "
            "or give them `classes`, a whole number for each sample"
        )
    return classes


def _checksum(samples: AnySamples) -> int:
    begun = 0
    for leaf in leaves(examples_of(samples, NUM_EXAMPLES)):
        begun = checksum(leaf, begun)
    return begun


def shard_after(shards: Sequence[Tensor], worker: int, losses: Sequence[int]) -> Tensor:
    """Return the indices of a worker's samples after losses; see `learning.shards`.

    Args:
        shards: Of the workers 1..N, as they were at first.
        worker: The worker's number.
        losses: In their order.
    """
    if not losses:
        return shards[worker - 1]
    from hybridmpi.learning.shards import share_out_anew

    shared = share_out_anew([shard.numpy() for shard in shards], losses)
    return torch.from_numpy(shared[worker - 1])


def batches_of(
    worker: int,
    facts: Facts,
    samples: AnySamples,
    shard: Tensor | None = None,
    device: torch.device | None = None,
) -> Batches:
    """Return a worker's batches.

    Args:
        worker: The worker's number.
        facts: Of the training set.
        samples: What the worker's samples are among.
        shard: The indices of the worker's samples; all if not given.
        device: Where its batches go.
    """
    return Batches(
        samples,
        shard,
        batch_size=facts.batch_size,
        last_batch=facts.last_batch,
        seed=facts.seed,
        worker=worker,
        device=device,
    )
