"""How a run ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hybridmpi.core.metrics import Metric


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        path: The run file.
        status: "complete" or "stopped".
        reason: Which limit or signal ended it.
        all_answered: Whether every worker has heard of the end; if not, some still compute, and
            the job can only be ended by MPI's Abort.
        metric: What the run is judged by first.
        values: Of the final parameters, by each metric's name; None if they were not evaluated.
        evaluated_on: "test" or "validation".
    """

    path: Path
    status: str
    reason: str
    all_answered: bool
    metric: Metric
    values: Mapping[str, float] | None
    evaluated_on: str
