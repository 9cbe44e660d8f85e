"""What of a job says what is learned."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from hybridmpi.core.epoch import LastBatch
from hybridmpi.learning.problems.images import ImageSource
from hybridmpi.learning.problems.load import NamedSource, Source

if TYPE_CHECKING:
    from hybridmpi.config import Job
    from hybridmpi.learning.optimizer import Group


def source_of(job: "Job") -> Source:
    """Return where a job's problem comes from."""
    if job.problem.is_own:
        return NamedSource(job.problem.name, job.problem.options)
    data = job.data
    return ImageSource(
        model=job.model.name,
        dataset=data.dataset,
        root=data.root,
        download=data.download,
        options=data.options,
        normalize=data.normalize,
        augmentation=data.augmentation,
    )


def groups_of(job: "Job") -> "dict[str, Group]":
    """Return how a job has some of the parameters stepped, by the pattern of their names."""
    from hybridmpi.learning.optimizer import Group  # which workers have no use for

    return {
        pattern: Group(group.learning_rate_factor, group.weight_decay)
        for pattern, group in job.optimizer.groups.items()
    }


@dataclass(frozen=True)
class Sharing:
    """How a job shares the training set out, whatever the problem is.

    Attributes:
        seed: The run's.
        batch_size: Samples per gradient.
        last_batch: What happens to the samples of an epoch that don't fill a batch.
        validation: Share of the training set that is held out.
        shards: See `learning.shards.shard_indices`.
        concentration: Likewise.
    """

    seed: int
    batch_size: int
    last_batch: LastBatch
    validation: float
    shards: Literal["stride", "contiguous", "dirichlet", "dirichlet-equal"]
    concentration: float

    @classmethod
    def of(cls, job: "Job") -> Self:
        """Take it from a job."""
        data = job.data
        return cls(
            seed=job.run.seed,
            batch_size=data.batch_size,
            last_batch=data.last_batch,
            validation=data.validation,
            shards=data.shards,
            concentration=data.concentration,
        )
