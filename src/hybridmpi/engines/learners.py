"""What all workers of a run learn from, in one process: one model, and each worker's batches."""

from torch import Tensor, nn

from hybridmpi.config import Job
from hybridmpi.engines.data import LoadedData, batches_of, shard_after
from hybridmpi.learning.activations import activation_bytes
from hybridmpi.learning.batches import Batches
from hybridmpi.learning.evaluation import evaluation_batch_size
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import Gradient, GradientComputer
from hybridmpi.learning.models import build_model, load_initial
from hybridmpi.learning.optimizer import ServerOptimizer
from hybridmpi.learning.single_sample import check_single_sample
from hybridmpi.learning.update import Update


class Learners:
    """The data set and the model of a job, for all its workers in one process.

    Attributes:
        model: The model; it computes for every worker in turn.
        initial: The initial parameters, shape [size].
        update: Takes the server's steps.
        shard_sizes: Samples of each worker, 1..N.
        epochs: How their shards are cut into batches.
        evaluation: The fixed subset of the training set, and the test set or validation split.
        evaluation_batch_size: How many samples are evaluated at a time.
        normalisation: The data set's mean and deviation per channel.
        training_samples: Size of the training set, without what is held out.
    """

    def __init__(self, job: Job, num_workers: int) -> None:
        """Load data and model.

        Raises:
            UserError: If the data set cannot be loaded or shared out, or the model not be built.
        """
        self._data = LoadedData(job, num_workers)
        self._facts = facts = self._data.facts
        self.training_samples = facts.training_samples
        self.shard_sizes = facts.shard_sizes
        self.epochs = facts.epochs
        self.evaluation = (self._data.training_subset(), self._data.held_out)
        self.normalisation = (facts.mean, facts.std)
        model = build_model(
            job.model.name,
            input_shape=facts.shape,
            num_classes=facts.num_classes,
            seed=job.run.seed,
            precision=job.model.precision,
            samples=facts.examples(self._data.training),
            examine=self._examine,
        )
        self.evaluation_batch_size = job.evaluation.batch_size or self._evaluation_batch_size
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
        self._batches: dict[tuple[int, tuple[int, ...]], Batches] = {}
        self._computer = GradientComputer(
            self.model, seed=job.run.seed, precision=job.model.precision
        )

    def _examine(self, model: nn.Module) -> None:
        facts = self._facts
        check_single_sample(model, facts.shape, facts.epochs)
        activations = activation_bytes(model, facts.shape)
        self._evaluation_batch_size = evaluation_batch_size(activations.evaluation)

    def compute(
        self,
        worker: int,
        batch: int,
        parameters: Tensor,
        row: Tensor,
        losses: tuple[int, ...] = (),
    ) -> Gradient:
        """Compute the gradient of a worker's batch.

        Args:
            worker: The worker's number.
            batch: The batch's.
            parameters: Where, [size].
            row: Takes the gradient, [size].
            losses: Whose shards had been shared out anew; see `learning.shards.share_out_anew`.
        """
        batches = self.batches(worker, losses)
        gradient = self._computer.compute(batches, worker, batch, parameters, row)
        assert gradient is not None
        return gradient

    def batches(self, worker: int, losses: tuple[int, ...] = ()) -> Batches:
        """Return the batches of a worker, drawn from its shard as it is after losses."""
        key = worker, losses
        if key not in self._batches:
            shard = shard_after(self._data.shards, worker, losses)
            self._batches[key] = batches_of(worker, self._facts, self._data.training, shard)
        return self._batches[key]
