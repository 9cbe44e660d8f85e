"""How a run is doing, for whoever watches it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # watchers on workers' ranks need none of it
    from hybridmpi.core.server import Limits


@dataclass(frozen=True, slots=True)
class Status:
    """A run at one moment.

    Attributes:
        phase: "training", "waiting for workers" (after a limit), or "evaluating".
        time_s: Seconds on the training clock.
        gradients: Pushes so far.
        discarded: Pushes thrown away so far.
        version: Steps so far.
        threshold: The threshold in force.
        buffered: Pushes in the gradient buffer.
        mean_staleness: Of the last step.
        train_loss: Mean mini-batch loss of the last step; NaN before the first one.
        fraction: How much is done, 0 to 1: of training, by the limit that is nearest, or of the
            snapshots to evaluate.
    """

    phase: str
    time_s: float
    gradients: int
    discarded: int
    version: int
    threshold: int
    buffered: int
    mean_staleness: float
    train_loss: float
    fraction: float


Report = Callable[[Status], None]


def fraction_done(
    limits: "Limits", time_s: float, gradients: int, steps: int, samples: int
) -> float:
    """Return how much of a run is done, by the limit that is nearest."""
    return min(
        1.0,
        max(
            time_s / limits.time_s,
            gradients / limits.gradients,
            steps / limits.steps,
            samples / limits.samples,
        ),
    )
