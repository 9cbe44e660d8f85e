"""What of a job every rank needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from hybridmpi.engines.problem import Sharing, source_of
from hybridmpi.learning.names import GIVEN
from hybridmpi.learning.problems.load import Source

if TYPE_CHECKING:
    from hybridmpi.config import Job


@dataclass(frozen=True)
class RankJob:
    """What rank 0 tells the others of its job; so a worker imports neither pydantic nor the job.

    The fields are the job's.

    Attributes:
        source: Where the problem comes from; None if each rank is given it by a script.
        sharing: How the training set is shared out.
        first_batches: Of workers that go on from a checkpoint, the number of the next batch.
        losses: Those before the checkpoint whose shards were shared out anew, and who is back.
    """

    source: Source | None
    sharing: Sharing
    seed: int
    initial: Path | None
    precision: Literal["float32", "bfloat16"]
    device: Literal["auto", "cpu", "cuda"]
    transport: Literal["auto", "messages", "shared"]
    is_collective: bool
    cancels: bool
    delayed_fraction: float
    delay_min_s: float
    delay_max_s: float
    first_batches: Mapping[int, int]
    losses: tuple[int, ...]

    @classmethod
    def of(cls, job: "Job", first_batches: Mapping[int, int], losses: tuple[int, ...] = ()) -> Self:
        """Take from a job what every rank needs."""
        return cls(
            source=None if job.problem.name == GIVEN else source_of(job),
            sharing=Sharing.of(job),
            seed=job.run.seed,
            initial=job.model.initial,
            precision=job.model.precision,
            device=job.run.device,
            transport=job.run.transport,
            is_collective=job.method.is_collective,
            cancels=job.method.cancels,
            delayed_fraction=job.delays.fraction,
            delay_min_s=job.delays.min_s,
            delay_max_s=job.delays.max_s,
            first_batches=first_batches,
            losses=losses,
        )
