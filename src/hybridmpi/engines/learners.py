"""What all workers of a run learn from, in one process: one model, and each worker's batches."""

import torch
from torch import Tensor

from hybridmpi.config import Job
from hybridmpi.learning.batches import Batches
from hybridmpi.learning.datasets import load_dataset
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import Gradient, GradientComputer
from hybridmpi.learning.models import build_model, load_initial
from hybridmpi.learning.optimizer import ServerOptimizer
from hybridmpi.learning.shards import shard_indices, training_subset
from hybridmpi.learning.update import Update

Samples = tuple[Tensor, Tensor]


class Learners:
    """The data set and the model of a job, for all its workers in one process.

    Attributes:
        model: The model; it computes for every worker in turn.
        initial: The initial parameters, shape [size].
        update: Takes the server's steps.
        shard_sizes: Samples of each worker, 1..N.
        evaluation: The fixed subset of the training set, and the test set.
        normalisation: The data set's mean and deviation per channel.
        training_samples: Size of the training set.
    """

    def __init__(self, job: Job, num_workers: int) -> None:
        """Load data and model.

        Raises:
            UserError: If the data set cannot be loaded or shared out, or the model not be built.
        """
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
        self.training_samples = len(self._labels)
        self.shard_sizes = [len(shard) for shard in self._shards]
        subset = torch.from_numpy(training_subset(self.training_samples))
        self.evaluation: tuple[Samples, Samples] = (
            (self._inputs[subset], self._labels[subset]),
            (data_set.test_inputs, data_set.test_labels),
        )
        self.normalisation = (data_set.mean, data_set.std) if data.normalize else (None, None)
        model = build_model(
            job.model.name,
            input_shape=data_set.shape,
            num_classes=data_set.num_classes,
            seed=job.run.seed,
        )
        if job.model.initial is not None:
            load_initial(model, job.model.initial)
        self.initial = flatten(model)
        self.model = FlatModel(model)
        optimizer = ServerOptimizer(
            job.optimizer.name,
            self.model.layout,
            options=job.optimizer.options,
            clip_norm=job.optimizer.clip_norm,
            clip_value=job.optimizer.clip_value,
        )
        self.update = Update(self.model.layout, optimizer)
        self._job = job
        self._batches: dict[int, Batches] = {}
        self._computer = GradientComputer(self.model, seed=job.run.seed)

    def compute(self, worker: int, batch: int, parameters: Tensor, row: Tensor) -> Gradient:
        """Compute the gradient of a worker's batch at `parameters` into `row`, both [size]."""
        gradient = self._computer.compute(self.batches(worker), worker, batch, parameters, row)
        assert gradient is not None
        return gradient

    def batches(self, worker: int) -> Batches:
        """Return the batches of a worker."""
        if worker not in self._batches:
            chosen = torch.from_numpy(self._shards[worker - 1])
            mean, std = self.normalisation
            self._batches[worker] = Batches(
                self._inputs[chosen],
                self._labels[chosen],
                batch_size=self._job.data.batch_size,
                seed=self._job.run.seed,
                worker=worker,
                mean=mean,
                std=std,
                augmentation=self._job.data.augmentation,
            )
        return self._batches[worker]
