"""The data set of a job, and how its workers share it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
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
        training_samples: Size of the training set, without what is held out.
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
        held_out: What no worker learns from: the validation split if the job asks for one, else
            the test set.
    """

    def __init__(self, job: Job, num_workers: int) -> None:
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
        self._inputs, self._labels = data_set.train_inputs, data_set.train_labels
        self._training, validation = split(len(self._labels), data.validation)
        self._shards = shard_indices(
            self._labels.numpy()[self._training],
            num_workers,
            data.shards,
            seed=job.run.seed,
            batch_size=data.batch_size,
            concentration=data.concentration,
        )
        self.held_out: Samples = (data_set.test_inputs, data_set.test_labels)
        if data.validation:
            self.held_out = self._samples(validation)
        self.facts = Facts(
            shape=data_set.shape,
            num_classes=data_set.num_classes,
            training_samples=len(self._training),
            mean=data_set.mean if data.normalize else None,
            std=data_set.std if data.normalize else None,
            shard_sizes=tuple(len(shard) for shard in self._shards),
        )

    def shard(self, worker: int) -> Samples:
        """Return a copy of a worker's shard."""
        return self._samples(self._training[self._shards[worker - 1]])

    def training_subset(self) -> Samples:
        """Return the fixed subset of the training set that is evaluated."""
        from hybridmpi.learning.shards import training_subset

        return self._samples(self._training[training_subset(len(self._training))])

    def _samples(self, indices: NDArray[np.int64]) -> Samples:
        of = torch.from_numpy(indices)
        return self._inputs[of], self._labels[of]


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
