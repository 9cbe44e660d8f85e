"""How a run ended."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        path: The run file.
        status: "complete" or "stopped".
        reason: Which limit or signal ended it.
        all_answered: Whether every worker has heard of the end; if not, some still compute, and
            the job can only be ended by MPI's Abort.
        accuracy: Of the final parameters, 0 to 1; None if it was not evaluated.
        evaluated_on: "test" or "validation".
    """

    path: Path
    status: str
    reason: str
    all_answered: bool
    accuracy: float | None
    evaluated_on: str
