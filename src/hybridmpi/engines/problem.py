"""What of a job says what is learned."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from hybridmpi.core.epoch import LastBatch
from hybridmpi.errors import UserError
from hybridmpi.learning.names import GIVEN
from hybridmpi.learning.problem import Problem
from hybridmpi.learning.problems.images import ImageSource
from hybridmpi.learning.problems.load import GivenSource, NamedSource, Source

if TYPE_CHECKING:
    from hybridmpi.config import Job
    from hybridmpi.learning.optimizer import Group


def source_of(job: "Job", given: Problem | None = None) -> Source:
    """Return where a job's problem comes from.

    Args:
        job: The job.
        given: The object, if its problem is one that a script hands over.

    Raises:
        UserError: If it is, and isn't here.
    """
    if given is not None:
        return GivenSource(given)
    if job.problem.name == GIVEN:
        raise problem_missing()
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


def problem_missing() -> UserError:
    """Return the error of a job whose problem is an object that isn't here."""
    return UserError(
        "problem.name is 'given': the problem is an object of the script that trained it; call "
        "hybridmpi from Python and pass problem=..., or name its function in the job as "
        "package.module:function"
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
