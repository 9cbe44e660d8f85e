"""The data set of a job, and how its workers share it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hybridmpi.config import Job
from hybridmpi.learning.batches import Batches

Samples = tuple[Tensor, Tensor]  # inputs and labels


@dataclass(frozen=True)
class Facts:
    """What every rank knows of the data set.

    Attributes:
        shape: Channels, height and width of one sample.
        num_classes: Number of classes.
        training_samples: Size of the training set.
        mean: Per channel; None where the job does not normalise.
        std: Likewise.
        shard_sizes: Samples of each worker, 1..N.
    """

    shape: tuple[int, int, int]
    num_classes: int
    training_samples: int
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    shard_sizes: tuple[int, ...]


class LoadedData:
    """The whole data set, in the process that has loaded it.

    Attributes:
        facts: What every rank knows.
        test: The test set.
    """

    def __init__(self, job: Job, num_workers: int) -> None:
        """Load the data set and share it out.

        Raises:
            UserError: If the data set cannot be loaded or shared out.
        """
        # A rank that loads nothing has no use for what these import.
        from hybridmpi.learning.datasets import load_dataset
        from hybridmpi.learning.shards import shard_indices

        data = job.data
        data_set = load_dataset(
            data.dataset, data.root, download=data.download, options=data.options
        )
        self._inputs, self._labels = data_set.train_inputs, data_set.train_labels
        self._shards = shard_indices(
            self._labels.numpy(),
            num_workers,
            data.shards,
            seed=job.run.seed,
            batch_size=data.batch_size,
            concentration=data.concentration,
        )
        self.test: Samples = (data_set.test_inputs, data_set.test_labels)
        self.facts = Facts(
            shape=data_set.shape,
            num_classes=data_set.num_classes,
            training_samples=len(self._labels),
            mean=data_set.mean if data.normalize else None,
            std=data_set.std if data.normalize else None,
            shard_sizes=tuple(len(shard) for shard in self._shards),
        )

    def shard(self, worker: int) -> Samples:
        """Return a copy of a worker's shard."""
        indices = torch.from_numpy(self._shards[worker - 1])
        return self._inputs[indices], self._labels[indices]

    def training_subset(self) -> Samples:
        """Return the fixed subset of the training set that is evaluated."""
        from hybridmpi.learning.shards import training_subset

        indices = torch.from_numpy(training_subset(len(self._labels)))
        return self._inputs[indices], self._labels[indices]


def batches_of(worker: int, job: Job, facts: Facts, shard: Samples) -> Batches:
    """Return a worker's batches of its shard."""
    inputs, labels = shard
    return Batches(
        inputs,
        labels,
        batch_size=job.data.batch_size,
        seed=job.run.seed,
        worker=worker,
        mean=facts.mean,
        std=facts.std,
        augmentation=job.data.augmentation,
    )
