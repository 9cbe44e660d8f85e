"""What all workers of a run learn from, in one process: one model, and each worker's batches."""

from torch import Tensor, nn

from hybridmpi.config import Job
from hybridmpi.engines.data import NUM_EXAMPLES, LoadedData, batches_of, shard_after
from hybridmpi.engines.problem import Sharing, groups_of, source_of
from hybridmpi.learning.activations import activation_bytes
from hybridmpi.learning.batches import Batches
from hybridmpi.learning.building import build, load_initial
from hybridmpi.learning.evaluation import evaluation_batch_size
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.gradients import Gradient, GradientComputer
from hybridmpi.learning.optimizer import ServerOptimizer
from hybridmpi.learning.problem import Batch, Problem
from hybridmpi.learning.samples import examples_of
from hybridmpi.learning.single_sample import check_single_sample
from hybridmpi.learning.update import Update


class Learners:
    """The samples and the model of a job's problem, for all its workers in one process.

    Attributes:
        problem: What is learned.
        model: The model; it computes for every worker in turn.
        initial: The initial parameters, shape [size].
        update: Takes the server's steps.
        shard_sizes: Samples of each worker, 1..N.
        epochs: How their shards are cut into batches.
        evaluation: The fixed subset of the training set, and the test set or validation split.
        evaluation_batch_size: How many samples are evaluated at a time.
        training_samples: Size of the training set, without what is held out.
    """

    def __init__(self, job: Job, num_workers: int, given: Problem | None = None) -> None:
        """Load data and model.

        Args:
            job: The job.
            num_workers: Number of workers.
            given: Its problem, if that is an object of a script's.

        Raises:
            UserError: If the data set cannot be loaded or shared out, or the model not be built.
        """
        self.problem: Problem = source_of(job, given).make()
        self._data = LoadedData(self.problem, Sharing.of(job), num_workers)
        self._facts = facts = self._data.facts
        self.training_samples = facts.training_samples
        self.shard_sizes = facts.shard_sizes
        self.epochs = facts.epochs
        self.evaluation = (self._data.training_subset(), self._data.held_out)
        model = build(
            self.problem,
            examples_of(self._data.training, NUM_EXAMPLES),
            seed=job.run.seed,
            precision=job.model.precision,
            examine=self._examine,
        )
        self.evaluation_batch_size = job.evaluation.batch_size or self._evaluation_batch_size
        if job.model.initial is not None:
            load_initial(model, job.model.initial)
        self.initial = flatten(model)
        self.model = FlatModel(model, *self.problem.functions())
        optimizer = ServerOptimizer(
            job.optimizer.name,
            self.model.layout,
            options=job.optimizer.options,
            clip_norm=job.optimizer.clip_norm,
            clip_value=job.optimizer.clip_value,
            groups=groups_of(job),
        )
        self.update = Update(self.model.layout, optimizer)
        self._batches: dict[tuple[int, tuple[int, ...]], Batches] = {}
        self._computer = GradientComputer(
            self.model, self.problem.loss, seed=job.run.seed, precision=job.model.precision
        )

    def _examine(self, model: nn.Module, examples: Batch) -> None:
        check_single_sample(self.problem, model, examples, self.epochs)
        activations = activation_bytes(self.problem, model, examples)
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
