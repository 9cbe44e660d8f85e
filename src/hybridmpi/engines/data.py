"""The data set of a job, and how its workers share it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hybridmpi.core.epoch import Epoch, LastBatch
from hybridmpi.learning.batches import Batches, normalise

if TYPE_CHECKING:
    from hybridmpi.config import Job

Samples = tuple[Tensor, Tensor]  # inputs and labels

_NUM_EXAMPLES = 3


@dataclass(frozen=True)
class Facts:
    """What every rank knows of the data set, and of how the job uses it.

    Attributes:
        shape: Channels, height and width of one sample.
        num_classes: Number of classes.
        training_samples: Size of the training set, without what is held out.
        mean: Per channel; None where the job does not normalise.
        std: Likewise.
        shard_sizes: Samples of each worker, 1..N.
        batch_size: Samples per gradient.
        last_batch: What happens to the samples of an epoch that don't fill a batch.
        augmentation: Names of what is done to training samples at random.
        seed: The run's.
    """

    shape: tuple[int, int, int]
    num_classes: int
    training_samples: int
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    shard_sizes: tuple[int, ...]
    batch_size: int
    last_batch: LastBatch
    augmentation: tuple[str, ...]
    seed: int

    @property
    def epochs(self) -> list[Epoch]:
        """How each worker's shard is cut into batches, 1..N."""
        return [Epoch(size, self.batch_size, self.last_batch) for size in self.shard_sizes]

    def examples(self, samples: Samples) -> Tensor:
        """Return the inputs of a few samples as a model is given them, to try it with."""
        inputs, _ = samples
        return normalise(inputs[:_NUM_EXAMPLES].clone(), self.mean, self.std)


class LoadedData:
    """The whole data set, in the process that has loaded it.

    Attributes:
        facts: What every rank knows.
        training: The whole training set, with what is held out of it.
        shards: For each of the workers 1..N the indices of its samples in `training`, ascending.
        held_out: What no worker learns from: the validation split if the job asks for one, else
            the test set.
    """

    def __init__(self, job: "Job", num_workers: int) -> None:
        """Load the data set and share it out.

        Raises:
            UserError: If the data set cannot be loaded or shared out.
        """
        # A rank that loads nothing has no use for what these import.
        from hybridmpi.learning.datasets import load_dataset
        from hybridmpi.learning.shards import shard_indices, split

        data = job.data
        data_set = load_dataset(
            data.dataset, data.root, download=data.download, options=data.options
        )
        self.training: Samples = (data_set.train_inputs, data_set.train_labels)
        labels = data_set.train_labels.numpy()
        self._trained_on, validation = split(len(labels), data.validation)
        shards = shard_indices(
            labels[self._trained_on],
            num_workers,
            data.shards,
            seed=job.run.seed,
            batch_size=data.batch_size,
            concentration=data.concentration,
        )
        self.shards = [torch.from_numpy(self._trained_on[shard]) for shard in shards]
        self.held_out: Samples = (data_set.test_inputs, data_set.test_labels)
        if data.validation:
            self.held_out = self._samples(torch.from_numpy(validation))
        self.facts = Facts(
            shape=data_set.shape,
            num_classes=data_set.num_classes,
            training_samples=len(self._trained_on),
            mean=data_set.mean if data.normalize else None,
            std=data_set.std if data.normalize else None,
            shard_sizes=tuple(len(shard) for shard in self.shards),
            batch_size=data.batch_size,
            last_batch=data.last_batch,
            augmentation=data.augmentation,
            seed=job.run.seed,
        )

    def shard(self, worker: int) -> Samples:
        """Return a copy of a worker's samples."""
        return self._samples(self.shards[worker - 1])

    def training_subset(self) -> Samples:
        """Return the fixed subset of the training set that is evaluated."""
        from hybridmpi.learning.shards import training_subset

        subset = self._trained_on[training_subset(len(self._trained_on))]
        return self._samples(torch.from_numpy(subset))

    def _samples(self, indices: Tensor) -> Samples:
        inputs, labels = self.training
        return inputs[indices], labels[indices]


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
    samples: Samples,
    shard: Tensor | None = None,
    device: torch.device | None = None,
) -> Batches:
    """Return a worker's batches.

    Args:
        worker: The worker's number.
        facts: Of the data set.
        samples: What the worker's samples are among.
        shard: The indices of the worker's samples; all if not given.
        device: Where its batches go.
    """
    return Batches(
        *samples,
        shard,
        batch_size=facts.batch_size,
        last_batch=facts.last_batch,
        seed=facts.seed,
        worker=worker,
        mean=facts.mean,
        std=facts.std,
        augmentation=facts.augmentation,
        device=device,
    )
