"""What every rank does before training starts: data, model, and a plan of the memory."""

import socket
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from hybridmpi.checkpoints.file import State, as_damage
from hybridmpi.core.delays import Delays
from hybridmpi.engines.data import NUM_EXAMPLES
from hybridmpi.engines.memory import MemoryPlan, check_fits, mib, server_plan, worker_plan
from hybridmpi.engines.mpi.agreement import agree
from hybridmpi.engines.mpi.ends import Choice, choose_transport, num_vectors
from hybridmpi.engines.mpi.rank_job import RankJob
from hybridmpi.engines.mpi.ranks import Ranks
from hybridmpi.engines.mpi.shares import share_out
from hybridmpi.engines.problem import problem_missing
from hybridmpi.learning.accelerator import choose_device
from hybridmpi.learning.activations import ActivationBytes, activation_bytes
from hybridmpi.learning.building import (
    build,
    drawn_without_seed,
    fingerprints,
    load_initial,
)
from hybridmpi.learning.evaluation import evaluation_batch_size
from hybridmpi.learning.flat import FlatModel, flatten
from hybridmpi.learning.problem import Batch, Problem
from hybridmpi.learning.problems.load import GivenSource, Source
from hybridmpi.learning.samples import examples_of
from hybridmpi.learning.single_sample import check_single_sample
from hybridmpi.resources import memory_limit_bytes

if TYPE_CHECKING:
    from hybridmpi.config import Job
    from hybridmpi.learning.optimizer import ServerOptimizer

_TRANSPORTS = {
    "shared": "in shared memory",
    "messages": "by messages",
    "collective": "by messages, and a broadcast per step",
}


class Host(NamedTuple):
    """Where a rank runs."""

    name: str
    cores: int
    device: str


class Setup:
    """What every rank needs before training starts: its data, the model, a checked plan."""

    def __init__(
        self,
        ranks: Ranks,
        job: "Job | None",
        resume: State | None = None,
        problem: Problem | None = None,
    ) -> None:
        """Prepare on all ranks together.

        Args:
            ranks: All ranks.
            job: Rank 0's, and of no use elsewhere.
            resume: Likewise the checkpoint to go on from.
            problem: What is learned, if that is an object of a script's, which each rank gives.

        Raises:
            UserError: On all ranks, if the job cannot be run.
        """
        self.ranks = ranks
        self.resume = resume if ranks.is_server else None
        self._whole_job = job if ranks.is_server else None
        self.workers_then = ranks.num_workers
        told = agree(ranks.comm, lambda: self._rank_job(job) if job else None)
        self.job: RankJob = ranks.comm.bcast(told)
        number = max(0, ranks.node.rank - ranks.is_beside_server)  # among those that compute
        self.device = agree(ranks.comm, lambda: choose_device(self.job.device, number))
        source = agree(ranks.comm, lambda: self._source(problem))
        self.share = share_out(ranks.comm, ranks.memory, source, self.job.sharing, self.device)
        self.problem = self.share.problem
        self._activations = ActivationBytes(0, 0)
        self.model, self.initial = agree(ranks.comm, self._build_model)
        agree(ranks.comm, self._check_same_model)
        self._activations = ranks.comm.bcast(self._activations)
        self.layout = self.model.layout
        self.delays = Delays(
            self.job.seed,
            self.job.delayed_fraction,
            self.job.delay_min_s,
            self.job.delay_max_s,
        )
        self.delayed = self.delays.delayed_workers(ranks.num_workers)
        self.optimizer = agree(
            ranks.comm, lambda: self._build_optimizer() if ranks.is_server else None
        )
        self.choice = agree(ranks.comm, self._choose_transport)
        self.plan = self._plan()
        self.node_bytes = agree(ranks.comm, self._check_memory)

    def _rank_job(self, job: "Job") -> RankJob:
        if self.resume is None:
            return RankJob.of(job, {})
        from hybridmpi.engines.checkpoint_facts import check_ranks

        with as_damage():
            then = check_ranks(self.resume.facts)
            self.workers_then = then.num_workers
            batches = self.resume.facts["recorder"]["next_batch"]
            first_batches = {int(worker): int(batch) for worker, batch in batches}
        losses: tuple[int, ...] = ()  # of shards that are no longer, with another number of workers
        if then.losses and then.num_workers == self.ranks.num_workers:
            losses = (*then.losses, *(-worker for worker in then.absent))  # all are back
        return RankJob.of(job, first_batches, losses)

    def _source(self, given: Problem | None) -> Source:
        if self.job.source is not None:
            return self.job.source
        if given is None:
            raise problem_missing()
        return GivenSource(given)

    @property
    def _anew(self) -> str:
        """Say that a run that goes on has another number of workers, if it has."""
        now = self.ranks.num_workers
        return (
            f"{now} workers share the training set anew, no longer {self.workers_then}"
            if self.workers_then != now
            else ""
        )

    def _build_model(self) -> tuple[FlatModel, Tensor]:
        examples = examples_of(self.share.any_samples, NUM_EXAMPLES)
        model = build(
            self.problem,
            examples,
            seed=self.job.seed,
            device=self.device,
            precision=self.job.precision,
            examine=self._examine if self.ranks.is_server else lambda *_: None,
        )
        if self.job.initial is not None:
            load_initial(model, self.job.initial)
        initial = flatten(model) if self.ranks.is_server else torch.empty(0)
        self._fingerprints = fingerprints(model)
        return FlatModel(model, *self.problem.functions()), initial

    def _check_same_model(self) -> None:
        """Check that all ranks begin with the same parameters, frozen ones included."""
        of_server: dict[str, int] = self.ranks.comm.bcast(self._fingerprints)
        for name in of_server | self._fingerprints:
            if of_server.get(name) != self._fingerprints.get(name):
                raise drawn_without_seed(self.problem.subject, name)

    def _examine(self, model: nn.Module, examples: Batch) -> None:
        check_single_sample(self.problem, model, examples, self.share.facts.epochs)
        self._activations = activation_bytes(self.problem, model, examples)

    @property
    def was_shared_out_anew(self) -> bool:
        """Whether a run that goes on has, or once had, another number of workers than before."""
        then = self.resume is not None and bool(self.resume.facts.get("shared_out_anew"))
        return then or self.workers_then != self.ranks.num_workers

    @property
    def whole_job(self) -> "Job":
        """The job, on the server."""
        assert self._whole_job is not None
        return self._whole_job

    @property
    def evaluation_batch_size(self) -> int:
        """How many samples the server evaluates at a time."""
        given = self.whole_job.evaluation.batch_size
        return given or evaluation_batch_size(self._activations.evaluation)

    def describe(self) -> str:
        """Return the memory plan and the transport in words."""
        lines = [self._anew] if self._anew else []
        lines += [
            f"memory of the server: {self.plan}; of all ranks on its node: {mib(self.node_bytes)}",
            f"gradients and parameters: {_TRANSPORTS[self.choice.transport]}",
        ]
        if self.choice.why:
            lines[-1] += f", since {self.choice.why}"
        return "\n".join(lines)

    def _build_optimizer(self) -> "ServerOptimizer":
        from hybridmpi.engines.problem import groups_of
        from hybridmpi.learning.optimizer import ServerOptimizer

        section = self.whole_job.optimizer
        return ServerOptimizer(
            section.name,
            self.layout,
            options=section.options,
            clip_norm=section.clip_norm,
            clip_value=section.clip_value,
            groups=groups_of(self.whole_job),
        )

    def _choose_transport(self) -> Choice:
        return choose_transport(
            self.ranks,
            self.layout.size,
            self.job.transport,
            is_collective=self.job.is_collective,
        )

    def _plan(self) -> MemoryPlan:
        size, data_bytes = self.layout.size, self.share.data_bytes
        vectors = num_vectors(self.ranks, self.choice.transport) + self.model.copies_parameters
        # On a GPU activations take no memory of the node's.
        per_sample = self._activations if self.device.type == "cpu" else ActivationBytes(0, 0)
        if not self.ranks.is_server:
            largest = self.share.facts.epochs[self.ranks.comm.rank - 1].largest
            return worker_plan(size, vectors, data_bytes, largest * per_sample.training)
        run, every_s = self.whole_job.run, self.whole_job.evaluation.every_s
        snapshots = 2 + (int(run.time_limit_s / every_s) if run.time_limit_s and every_s else 0)
        evaluation_bytes = self.evaluation_batch_size * per_sample.evaluation
        return server_plan(size, vectors, snapshots, data_bytes, evaluation_bytes)

    def _check_memory(self) -> int:
        """Return what all ranks of this node need together."""
        needed: int = self.ranks.node.allreduce(self.plan.total_bytes)
        if self.ranks.node.rank == 0:
            import psutil  # which the other ranks have no use for

            available = min(psutil.virtual_memory().available, memory_limit_bytes())
            check_fits(needed, available, socket.gethostname())
        return needed
